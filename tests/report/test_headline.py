"""The answer says what the numbers say, and no more."""

import json

import pytest

from kantor.report.headline import headline_of, time_ratio
from kantor.report.run import read_run

SLOWER = {"none": 2.0, "kd": 2.0, "kd+neuron_transport": 2.5}


def said(run) -> tuple[str, str, str]:
    found = headline_of(read_run(run))
    return found.verdict, found.sentence.striptags(), " ".join(found.notes)


def test_better(made):
    verdict, headline, notes = said(made(seconds=SLOWER))
    assert verdict == "better"
    # Differences .08, .08, .08: mean 8 points, no spread.
    assert headline == (
        "kd+neuron_transport beats the student alone by +8.0 points, 95 % interval +8.0 to +8.0, over 3 seeds, "
        "at 25 % more time per step."
    )
    assert "best of 2 transfer methods" in notes
    assert "Against plain kd it is +4.0 points (+1.5 to +6.5), clear of zero." in notes
    assert "400 test samples" in notes


def test_worse(made):
    verdict, headline, _ = said(made({"none": [0.9, 0.91, 0.9], "kd": [0.85, 0.85, 0.86]}))
    assert verdict == "worse"
    assert headline.startswith("kd is worse than the student alone, by −5.0 points, 95 % interval −7.5 to −2.5")
    assert headline.endswith("at the same time per step.")


def test_worse_of_several_speaks_of_the_best(made):
    accuracy = {"none": [0.9, 0.91, 0.9], "kd": [0.85, 0.85, 0.86], "fitnet": [0.5, 0.52, 0.51]}
    assert said(made(accuracy))[1].startswith("No method helps: even the best, kd, is worse")


def test_unclear(made):
    verdict, headline, _ = said(made({"none": [0.8, 0.9, 0.7], "kd": [0.9, 0.8, 0.8]}))
    assert verdict == "unclear"
    assert headline.startswith(
        "kd is not clearly better than the student alone: +3.3 points, 95 % interval −25.4 to +32.0"
    )


def test_one_seed_is_no_evidence(made):
    verdict, headline, _ = said(made({"none": [0.8], "kd": [0.9]}))
    assert verdict == "unknown"
    assert headline.startswith("With one seed, kd ends +10.0 points from the student alone")
    assert "add seeds" in headline


def test_without_the_student_alone_nothing_is_claimed(made):
    verdict, headline, _ = said(made({"kd": [0.9, 0.92]}))
    assert verdict == "unknown"
    assert "whether transfer helped is not known" in headline


def test_student_alone(made):
    verdict, headline, _ = said(made({"none": [0.9, 0.92]}))
    assert verdict == "unknown"
    assert headline.startswith("The student alone reaches 91.0 %, 95 % interval 78.3 to 103.7, over 2 seeds")


def test_unfinished_run_says_so(made):
    run = made()
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"complete": False}))
    (run / "kd" / "seed-2" / "result.json").unlink()
    assert "8 students are finished and the run is not" in said(run)[2]


def test_nothing_finished(made):
    run = made(summary=False)
    for path in run.glob("*/seed-*/result.json"):
        path.unlink()
    assert said(run)[:2] == ("unknown", "No student is finished yet.")


def test_time_is_compared_on_seeds_that_both_finished(made):
    run = made(seconds=SLOWER)
    path = run / "none" / "seed-2" / "result.json"
    path.unlink()
    other = run / "kd" / "seed-2" / "result.json"
    other.write_text(json.dumps(json.loads(other.read_text()) | {"seconds": 1000.0}))
    assert time_ratio(read_run(run), "kd") == pytest.approx(1.0)


def test_names_are_escaped(made):
    run = made({"none": [0.8, 0.8, 0.8], "<img>": [0.9, 0.9, 0.91]})
    assert "&lt;img&gt;" in headline_of(read_run(run)).sentence
