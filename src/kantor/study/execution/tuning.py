"""The weight search: the same few trials for every method, judged on validation data, before the comparison."""

from pathlib import Path
from statistics import fmean
from typing import Any

from kantor.core.collectives import rank, wait_for_all
from kantor.core.files import write_json
from kantor.results.files import TUNING, read_result
from kantor.study.execution.job import Job
from kantor.study.execution.progress import Display
from kantor.study.execution.student import Workbench
from kantor.study.execution.workers import train_all
from kantor.study.settings.methods import Method
from kantor.study.settings.study import Study


def tune(
    run: Path, config: Study, methods: list[Method], display: Display, bench: Workbench | None = None
) -> dict[str, Any]:
    """Try every factor on every method with the tuning seeds; keep trials and choices in ``tuning.json``.

    A factor multiplies all of a method's transfer weights; where there are none, the learning rate (by ``tune_lr`` if
    that is given), so that the student alone has as many trials. Of equal validation accuracies the factor nearest to 1
    is taken.

    A trial whose loss is not finite is kept as diverged and counts as no accuracy at all.

    Returns:
        By method: ``trials`` (factor, mean validation accuracy, and how many diverged if any did) and ``chosen``.

    Raises:
        Interrupted, KantorError: see :func:`kantor.study.execution.workers.execute`.
    """
    display.say(f"\nTuning: {len(config.tune)} trials a method, seeds {config.tune_seeds}, on validation data.")
    rounds = zip(*(_factors(config, method) for method in methods), strict=True)
    trials = [pair for factors in rounds for pair in zip(methods, factors, strict=True)]
    tasks = [Job(method, seed, factor) for seed in config.tune_seeds for method, factor in trials]
    train_all(run, tasks, config, display, bench)
    found = {method.name: _chosen(run, config, method) for method in methods}
    if rank() == 0:
        write_json(run / TUNING, found)
    wait_for_all()
    for name, choice in found.items():
        tried = ", ".join(_said(trial) for trial in choice["trials"])
        display.say(f"{name}: {tried}; taken x {choice['chosen']:g}")
    return found


def _factors(config: Study, method: Method) -> list[float]:
    """What is tried on a method."""
    return config.tune if method.terms or not config.tune_lr else config.tune_lr


def _said(trial: dict[str, Any]) -> str:
    """One trial, for people."""
    lost = f" ({trial['diverged']} diverged)" if "diverged" in trial else ""
    return f"x {trial['factor']:g}: {100 * trial['validation_accuracy']:.1f}{lost}"


def _chosen(run: Path, config: Study, method: Method) -> dict[str, Any]:
    trials = []
    for factor in _factors(config, method):
        results = [read_result(Job(method, seed, factor).folder(run)) for seed in config.tune_seeds]
        found = [result for result in results if result is not None]
        accuracy = fmean(result["validation_accuracy"] for result in found)
        diverged = sum("diverged" in result for result in found)
        trials.append(
            {"factor": factor, "validation_accuracy": accuracy} | ({"diverged": diverged} if diverged else {})
        )
    best = max(trials, key=lambda trial: (trial["validation_accuracy"], -abs(trial["factor"] - 1)))
    return {"trials": trials, "chosen": best["factor"]}
