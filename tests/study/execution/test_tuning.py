"""The weight search: which factor is taken, what is kept of the trials, and what is said."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kantor.study import Study
from kantor.study.execution import tuning
from kantor.study.execution.job import Job, tuned_factor
from kantor.study.execution.progress import Display
from kantor.study.execution.tuning import tune
from kantor.study.settings.methods import parse_methods
from small import console, printed

Reach = Callable[[Job], float | None]


@pytest.fixture
def search(tmp_path, monkeypatch) -> Callable[..., tuple[dict, list[Job], str]]:
    """Runs a search whose trials reach what a function says; a string is why one diverged."""

    def run(reach: Callable, methods: str = "kd", **changes) -> tuple[dict, list[Job], str]:
        asked: list[Job] = []

        def train_all(folder: Path, jobs, *_):
            for job in jobs:
                asked.append(job)
                place, reached = job.folder(folder), reach(job)
                place.mkdir(parents=True)
                result = {"validation_accuracy": None, "accuracy": None, "validation": reached, "seconds": 1.0}
                if isinstance(reached, str):
                    result |= {"validation": 0.0, "diverged": reached}
                (place / "result.json").write_text(json.dumps(result))

        monkeypatch.setattr(tuning, "train_all", train_all)
        settings = {"data": "digits", "student": "cnn", "tune": [0.5, 1.0, 2.0], "tune_seeds": [10, 11]}
        said = console()
        found = tune(tmp_path, Study(**(settings | changes)), parse_methods(methods), Display(said))
        assert json.loads((tmp_path / "tuning.json").read_text()) == found
        return found, asked, printed(said)

    return run


def by_factor(values: dict[float, float | None]) -> Reach:
    return lambda job: values[job.factor or 1.0]


def test_the_factor_of_the_best_validation_is_taken_and_kept(search, tmp_path):
    found, asked, said = search(by_factor({0.5: 0.25, 1.0: 0.5, 2.0: 0.75}), "none,kd")
    assert {name: choice["chosen"] for name, choice in found.items()} == {"none": 2.0, "kd": 2.0}
    assert all(tuned_factor(tmp_path, method) == 2.0 for method in parse_methods("none,kd"))
    # Every method gets as many trials, with the seeds that serve nothing else.
    assert sorted((job.method.name, job.factor, job.seed) for job in asked) == sorted(
        (name, factor, seed) for name in ("none", "kd") for factor in (0.5, 1.0, 2.0) for seed in (10, 11)
    )
    assert "kd: x 0.5: 25.0, x 1: 50.0, x 2: 75.0; taken x 2" in said


def test_a_trial_is_the_mean_over_its_seeds(search):
    reached = {(0.5, 10): 1.0, (0.5, 11): 0.0, (2.0, 10): 0.625, (2.0, 11): 0.5}
    found, *_ = search(lambda job: reached.get((job.factor, job.seed), 0.0))
    assert [trial["validation"] for trial in found["kd"]["trials"]] == [0.5, 0.0, 0.5625]
    assert found["kd"]["chosen"] == 2.0
    assert [trial["validation_accuracy"] for trial in found["kd"]["trials"]] == [0.5, 0.0, 0.5625]


def test_of_equals_the_factor_nearest_to_1_is_taken(search):
    found, *_ = search(lambda _: 0.5, tune=[4.0, 0.5, 2.0])
    assert found["kd"]["chosen"] == 0.5


def test_lower_is_better_where_the_metric_says_so(search):
    found, _, said = search(by_factor({0.5: 3.0, 1.0: 1.5, 2.0: 2.0}), "neuron_transport", task="regression")
    (choice,) = found.values()
    assert choice["chosen"] == 1.0
    assert "validation_accuracy" not in choice["trials"][0]
    assert "x 1: 1.50," in said


def test_a_trial_that_diverged_counts_as_nothing_and_is_named(search):
    found, _, said = search(lambda job: "loss is NaN" if job.factor == 2.0 and job.seed == 10 else 0.5)
    assert [trial.get("diverged") for trial in found["kd"]["trials"]] == [None, None, 1]
    assert found["kd"]["trials"][2]["validation"] == 0.25
    assert found["kd"]["chosen"] == 1.0
    assert "x 2: 25.0 (1 diverged)" in said


def test_a_factor_without_a_value_is_not_taken(search):
    found, _, said = search(by_factor({0.5: None, 1.0: 9.0, 2.0: None}), "neuron_transport", task="regression")
    (choice,) = found.values()
    assert choice["chosen"] == 1.0 and "x 0.5, x 1: 9.00, x 2; taken x 1" in said


def test_methods_without_transfer_have_factors_of_their_own(search):
    found, asked, _ = search(lambda job: job.factor, "none,kd", tune_lr=[0.1, 0.2, 0.3], tune_seeds=[10])
    assert {name: [trial["factor"] for trial in choice["trials"]] for name, choice in found.items()} == {
        "none": [0.1, 0.2, 0.3],
        "kd": [0.5, 1.0, 2.0],
    }
    assert found["none"]["chosen"] == 0.3 and len(asked) == 6
