"""The weight search: the same few trials for every method, judged on validation data, before the comparison."""

import math
from pathlib import Path
from statistics import fmean

from kantor.core.collectives import rank, wait_for_all
from kantor.core.files import write_json
from kantor.results.files import TUNING, read_result
from kantor.results.records import Trial, Tuned
from kantor.results.rows import validation_value
from kantor.study.execution.job import Job
from kantor.study.execution.progress import Display
from kantor.study.execution.student import Workbench
from kantor.study.execution.workers import train_all
from kantor.study.settings.methods import Method
from kantor.study.settings.study import Study
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY


def tune(
    run: Path, config: Study, methods: list[Method], display: Display, bench: Workbench | None = None
) -> dict[str, Tuned]:
    """Try every factor on every method with the tuning seeds; keep trials and choices in ``tuning.json``.

    A factor multiplies all of a method's transfer weights; where there are none, the learning rate (by ``tune_lr`` if
    that is given), so that the student alone has as many trials. Of equal validation accuracies the factor nearest to 1
    is taken.

    A trial whose loss is not finite is kept as diverged and counts as no accuracy at all; of a metric that has no
    worst value its factor is not taken.

    Returns:
        By method: ``trials`` (factor, the mean of the task's metric on validation data as ``validation`` and, where
        that is accuracy, ``validation_accuracy``, and how many diverged if any did) and ``chosen``.

    Raises:
        Interrupted, KantorError: see :func:`kantor.study.execution.workers.execute`.
    """
    display.say(f"\nTuning: {len(config.tune)} trials a method, seeds {config.tune_seeds}, on validation data.")
    rounds = zip(*(_factors(config, method) for method in methods), strict=True)
    trials = [pair for factors in rounds for pair in zip(methods, factors, strict=True)]
    jobs = [Job(method, seed, factor) for seed in config.tune_seeds for method, factor in trials]
    train_all(run, jobs, config, display, bench)
    scale = ACCURACY if (task := config.learned()) is None else task.scale  # without a task a probe judges
    found = {method.name: _tried(run, config, method, scale) for method in methods}
    if rank() == 0:
        write_json(run / TUNING, found)
    wait_for_all()
    for name, choice in found.items():
        tried = ", ".join(_said(trial, scale) for trial in choice.get("trials", []))
        display.say(f"{name}: {tried}; taken x {choice['chosen']:g}")
    return found


def _factors(config: Study, method: Method) -> list[float]:
    """What is tried on a method."""
    return config.tune if method.terms or not config.tune_lr else config.tune_lr


def _said(trial: Trial, scale: Scale) -> str:
    """One trial, for people."""
    lost = f" ({trial['diverged']} diverged)" if "diverged" in trial else ""
    digits, value = 1 if scale.is_share else 2, trial.get("validation")
    reached = "" if value is None else f": {scale.number(value, digits)}"
    return f"x {trial['factor']:g}{reached}{lost}"


def _tried(run: Path, config: Study, method: Method, scale: Scale) -> Tuned:
    trials = []
    for factor in _factors(config, method):
        results = [read_result(Job(method, seed, factor).folder(run)) for seed in config.tune_seeds]
        found = [result for result in results if result is not None]
        values = [validation_value(result) for result in found]
        known = [value for value in values if value is not None]
        reached = fmean(known) if len(known) == len(values) else None
        trial: Trial = {"factor": factor, "validation": reached}
        if scale == ACCURACY:
            trial["validation_accuracy"] = reached
        if diverged := sum("diverged" in result for result in found):
            trial["diverged"] = diverged
        trials.append(trial)

    def merit(trial: Trial) -> tuple[float, float]:
        value = trial.get("validation")
        return -math.inf if value is None else scale.gain(value), -abs(trial["factor"] - 1)

    return {"trials": trials, "chosen": max(trials, key=merit)["factor"]}
