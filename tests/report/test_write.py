"""The page is whole, small, and holds the run's numbers; what was not recorded is left out."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.report import write


class Page(HTMLParser):
    """Text of elements by their data-fact, per method; everything that refers to something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.facts: dict[tuple[str, str], str] = {}
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self._method = self._fact = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tags.append(tag)
        self._method = known.get("data-method") or self._method
        self._fact = known.get("data-fact") or ""
        self.ids += [known["id"] or ""] if known.get("id") else []
        self.links += [link for name in ("src", "href") if (link := known.get(name))]

    def handle_data(self, data):
        if self._fact:
            self.facts[self._method, self._fact] = data.strip()

    def handle_endtag(self, tag):
        self._fact = ""


def test_numbers_are_the_summary_s(made):
    run = made()
    page = Page(write(run).read_text())
    summary = json.loads((run / "summary.json").read_text())["methods"]
    for method, row in summary.items():
        assert page.facts[method, "mean"] == f"{100 * row['mean']:.2f}"
        assert page.facts[method, "seeds"] == str(len(row["seeds"]))
        assert page.facts[method, "interval"] == " to ".join(f"{100 * bound:.2f}" for bound in row["interval"])
    assert page.facts["kd", "difference"] == "+4.00"
    assert page.facts["none", "difference"] == "–"


def test_written_in_the_run_and_whole(made):
    run = made()
    path = write(run)
    assert path == run / "report.html"
    text = path.read_text()
    page = Page(text)
    # Nothing is fetched: every reference is to the page itself, or to data in it.
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "@import" not in text
    assert "url(" not in text
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert page.tags.count("h1") == 1
    assert len(text) < 15e6


def test_class_names_are_text_and_not_markup(made):
    text = write(made()).read_text()
    assert "<b>bird</b>" not in text
    assert "\\u003cb>bird" in text


def test_several_runs_side_by_side(made, tmp_path):
    runs = [made(name="first"), made({"none": [0.8, 0.7], "kd": [0.6, 0.7]}, name="second")]
    path = write(runs)
    assert path == tmp_path / "report.html"
    text = path.read_text()
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids)
    assert page.tags.count("h1") == 1
    assert page.facts["second: kd", "mean"] == "65.00"
    assert page.facts["first: none", "mean"] == "81.00"
    assert 'data-run="r1"' in text
    assert write(runs, tmp_path / "elsewhere" / "page.html").exists()


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("step0.json", "r0-step0"),
        ("*/*/metrics.jsonl", "r0-curves"),
        ("*/*/plans", "r0-plans"),
        ("summary.json", ""),
        ("environment.json", ""),
        ("plan.json", ""),
    ],
)
def test_what_was_not_recorded_is_left_out(made, missing, gone):
    run = made()
    for path in run.glob(missing):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    page = Page(write(run).read_text())
    assert "r0-repeat" in page.ids
    assert gone not in page.ids
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_nothing_finished_is_a_page_too(made):
    run = made(summary=False)
    for path in run.glob("*/*/result.json"):
        path.unlink()
    assert "No student is finished yet." in write(run).read_text()


def test_memory_and_gradient_where_recorded(made):
    without, with_them = (
        write(made(name=name, **more)).read_text()
        for name, more in (("a", {}), ("b", {"peak": 3 * 2**20, "gradient": True}))
    )
    assert "peak memory" not in without
    assert "Share of the gradient" not in without
    assert re.search(r'data-label="peak memory, MiB">3<', with_them)
    assert "Share of the gradient" in with_them


def test_methods_under_way_are_not_equally_far(made):
    run = made()
    path = run / "kd" / "seed-0" / "metrics.jsonl"
    for seed in range(3):
        path = run / "kd" / f"seed-{seed}" / "metrics.jsonl"
        path.write_text("\n".join(path.read_text().splitlines()[:3]) + "\n")
    text = write(run).read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    values = data["r0"]["charts"]["r0-validation-accuracy"]
    assert values["epochs"] == [0, 1, 2, 3, 4]
    assert values["values"][values["names"].index("kd")][3:] == [None, None]


def test_many_wide_plans_stay_under_the_limit(made):
    run = made({"none": [0.8], "kd": [0.9]}, widths=(2048, 2048), epochs=2)
    assert write(run).stat().st_size < 15e6


def test_no_run(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        write(tmp_path)
    with pytest.raises(ConfigError, match="No run is given"):
        write([])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"pairs": []}, "the page cannot be made, since a file lacks something"),
        ({"a": {}}, "compare.json cannot be used: a: 'name' is missing"),
        ({"seconds": {"load": "long"}}, "compare.json cannot be used: seconds.load is 'long'"),
        ({"matrices": 3}, "compare.json cannot be used: matrices is 3"),
    ],
)
def test_a_file_that_lacks_what_the_page_shows_is_named(tmp_path, compared, damage, said):
    content = compared(tmp_path)
    (tmp_path / "compare.json").write_text(json.dumps(content | damage))
    with pytest.raises(DataError, match=rf"{tmp_path.name}.*{said}"):
        write(tmp_path)
