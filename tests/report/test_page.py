"""The page of a run: what is said of it, from its files alone."""

import json
import re

import pytest

from kantor.report.page import MEMORY, render
from kantor.report.run import read_run


def page(*folders):
    runs = [read_run(folder) for folder in folders]
    return render(runs, [None] * len(runs), [None] * len(runs), folders[0])


def words(text: str) -> str:
    """What a reader sees."""
    text = re.sub(r"<(script|style).*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_it_says_what_learned_from_what_and_how_it_ended(made):
    run = made()
    (run / "step0.json").write_text(json.dumps(json.loads((run / "step0.json").read_text())
                                               | {"left_out": {"fsp": "it needs maps"}}))  # fmt: skip
    said = words(page(run))
    assert "trained on 1,200 training images" in said
    assert "fsp left out" in said and "it needs maps" in said
    assert "seeds 0, 1, 2" in said
    assert "kd+neuron_transport" in said and "89.0" in said


def test_what_files_hold_is_text_and_no_markup(made):
    text = page(made())
    assert "<b>bird</b>" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "</script><" not in text.partition("bird")[2][:50]


def test_many_seeds_are_counted(made):
    said = words(page(made({"none": [0.8] * 12, "kd": [0.9] * 12})))
    assert "12, 0 to 11" in said


def test_memory_is_of_what_was_measured(made):
    run = made(peak=10**6)
    assert not any(said in page(run) for said in MEMORY.values())
    for result in run.glob("*/seed-*/result.json"):
        result.write_text(json.dumps(json.loads(result.read_text()) | {"memory_of": "process"}))
    assert MEMORY["process"] in page(run) and MEMORY["cuda"] not in page(run)


def test_several_runs_have_a_part_each_and_a_table_together(made):
    one, two = made(name="one"), made(name="two")
    text = page(one, two)
    assert "one · two" in text.partition("<title>")[2].partition("</title>")[0]
    assert 'id="r0' in text and 'id="r1' in text
    assert "r1" not in page(one).partition("<body")[2].partition("<script")[0]


@pytest.mark.parametrize("name", ["run", "a run"])
def test_the_command_that_repeats_it_can_be_pasted(made, name):
    run = made(name=name)
    said = words(page(run)).replace("&#39;", "'")
    quote = "'" if " " in name else ""
    assert f"kantor distill --config {quote}{run / 'config.yaml'}{quote} --out {quote}{run}{quote}-again" in said
