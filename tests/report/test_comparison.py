"""The page of ``compare``: made from files alone, complete."""

import json
import re

import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.report import write_comparison


def page_data(page) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])["a0"]


def test_a_comparison(tmp_path, compared):
    content = compared(tmp_path)
    page = write_comparison(tmp_path).read_text()
    assert "one and two are <strong>" in page
    assert "they disagree on 12.5 % of the samples" in page
    for row in content["matrices"]["cka"]:
        for value in row:
            assert f"{value:.3f}" in page
    assert "<script src" not in page
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", page)
    (found,) = page_data(page)["neurons"]["sets"]
    assert found["widths"] == [6, 4]
    assert len(found["matches"]) == 6


def test_other_classes_and_no_pictures(tmp_path, compared):
    compared(tmp_path, predictions=None, samples=None)
    page = write_comparison(tmp_path).read_text()
    assert "predictions are not compared" in page
    assert page_data(page)["neurons"]["sheets"] == {}


def test_markup_in_names_is_text(tmp_path, compared):
    compared(tmp_path, name="<b>one</b>")
    page = write_comparison(tmp_path).read_text()
    assert "<b>one</b>" not in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page


def test_nothing_to_show(tmp_path):
    with pytest.raises(ConfigError, match="kantor compare"):
        write_comparison(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pairs": 3}, "pairs is 3, and must be a list"),
        ({"a": {"name": "one"}}, "a: 'parameters' is missing"),
        ({"seconds": {"passes": "long"}}, r"seconds\.passes is 'long', and must be a number"),
        ({"neurons": "../neurons.npz"}, "which is not in it"),
    ],
)
def test_what_a_comparison_must_hold(tmp_path, compared, changes, said):
    compared(tmp_path, **changes)
    with pytest.raises(DataError, match=said):
        write_comparison(tmp_path)


def test_a_table_that_is_wider_than_the_page_shows_it_and_is_scrolled_by_keyboard(tmp_path, compared):
    compared(tmp_path)
    page = write_comparison(tmp_path).read_text()
    regions = re.findall(r'<div class="scroll"[^>]*>', page)
    labels = [re.search(r'aria-label="([^"]*)"', region)[1] for region in regions]
    assert labels == [
        f"{title}, scrolls sideways" for title in ("Paired stages", "Predictions", "Transport distance", "Linear CKA")
    ]
    assert all('tabindex="0" role="region"' in region for region in regions)
    rule = re.search(r"\.scroll \{([^}]*)\}", page)[1]
    assert "overflow-x: auto" in rule
    assert (rule.count("no-repeat local"), rule.count("no-repeat scroll")) == (2, 2)
