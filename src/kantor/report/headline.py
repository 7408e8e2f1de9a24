"""The answer first: was the transfer worth it? One sentence from the run's own numbers."""

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from kantor.core.numbers import true_minus
from kantor.report.run import ALONE, Run
from kantor.results.records import Difference, Row
from kantor.results.rows import mean_of, values_of, warnings
from kantor.results.statistics import few, paired_difference
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY

Verdict = Literal["better", "unclear", "worse", "unknown"]


@dataclass(frozen=True)
class Headline:
    """What a reader takes away."""

    verdict: Verdict
    sentence: Markup
    notes: list[str]
    """What qualifies it, a sentence each."""


def headline_of(run: Run) -> Headline:
    """Compare the best transfer method of a run with the student alone.

    The best is the one whose mean difference is best by the run's metric, which may be one that is better lower.
    ``better`` and ``worse`` need an interval clear of zero.
    """
    methods, scale = run.methods, run.scale
    notes = [*warnings(methods, scale), *_notes(run)] if run.judged else _notes(run)
    compared = {name: difference for name, row in methods.items() if (difference := row["difference"]) is not None}
    if not methods:
        return Headline("unknown", Markup("No student is finished yet."), notes)
    if not run.judged:
        return _by_probe(run, notes)
    if not compared:
        return Headline("unknown", _of_collapsed(methods) or _without_comparison(methods, scale), notes)
    best = max(compared, key=lambda name: scale.gain(compared[name]["mean"]))
    difference = compared[best]
    interval, seeds = difference["interval"], len(difference["seeds"])
    name, by = Markup("<em>{}</em>").format(best), _by(scale, methods[best], difference)
    if len(compared) > 1:
        notes.insert(
            0, f"{best} is the best of {len(compared)} transfer methods here, chosen by the same test numbers."
        )
    notes[:0] = _against_kd(methods, best, scale)
    if interval is None:
        ends = "{} ends {} from the student alone" if scale.is_share else "{} ends at {} than the student alone"
        headline = Markup("With one seed, " + ends + "{}; chance alone can do that, so add seeds.")
        return Headline("unknown", headline.format(name, by, _time(run, best)), notes)
    spread = f"95 % interval {true_minus(scale.interval(interval, 1, signed=True))}, over {seeds} seeds"
    low, high = sorted(scale.gain(bound) for bound in interval)
    told = (name, by, spread, _time(run, best))
    if low > 0:
        who = "{} beats the student alone by" if scale.is_share else "{} beats the student alone:"
        return Headline("better", Markup(who + " {}, {}{}.").format(*told), notes)
    if high < 0:
        who = "No method helps: even the best, {}, is" if len(compared) > 1 else "{} is"
        who += " worse than the student alone" + (", by" if scale.is_share else ":")
        return Headline("worse", Markup(who + " {}, {}{}.").format(*told), notes)
    who = (
        "No method is clearly better than the student alone: the best, {}, is at"
        if len(compared) > 1
        else ("{} is not clearly better than the student alone:")
    )
    return Headline("unclear", Markup(who + " {}, {}{}.").format(*told), notes)


def _by(scale: Scale, row: Row, difference: Difference) -> Markup:
    """How far a method is from the student alone: ``+4.4 points``, ``RMSE 0.41, 0.05 lower``."""
    said = true_minus(scale.said_difference(difference["mean"]))
    if scale == ACCURACY:
        return Markup("<strong>{}</strong>").format(said)
    if scale.is_share:
        return Markup("<strong>{}</strong> of {}").format(said, scale.name)
    return Markup("{}, <strong>{}</strong>").format(true_minus(scale.said(mean_of(row))), said)


def time_ratio(run: Run, method: str) -> float | None:
    """Seconds per step of ``method`` over those of the student alone, on the seeds both finished."""
    ours, theirs = run.seconds_per_step(method), run.seconds_per_step(ALONE)
    both = ours.keys() & theirs.keys()
    return sum(ours[s] for s in both) / sum(theirs[s] for s in both) if both else None


def _time(run: Run, method: str) -> str:
    ratio = time_ratio(run, method)
    if ratio is None:
        return ""
    change = round(100 * (ratio - 1))
    if change == 0:
        return ", at the same time per step"
    return f", at {change} % more time per step" if change > 0 else f", at {-change} % less time per step"


def _by_probe(run: Run, notes: list[str]) -> Headline:
    """The answer of a run without labels: its features are all there is to judge."""
    if not run.probes:
        return Headline(
            "unknown",
            Markup("Trained without labels: <em>kantor probe {}</em> judges the features.").format(run.name),
            notes,
        )
    found = list(run.probes.values())[-1]
    base = next(iter(found["bases"]))
    last = {name: list(rows.items())[-1] for name, rows in found["methods"].items()}
    compared = {name: row["differences"][base] for name, (_, row) in last.items() if base in row["differences"]}
    if not compared:
        return Headline("unknown", Markup("Only untrained students were probed; nothing is compared."), notes)
    best = max(compared, key=lambda name: compared[name]["mean"])
    difference, (layer, row) = compared[best], last[best]
    mean, interval = difference["mean"], difference["interval"]
    verdict: Verdict = "unknown" if interval is None else "better" if interval[0] > 0 else "unclear"
    verdict = "worse" if interval is not None and interval[1] < 0 else verdict
    over = "with one seed"
    if interval is not None:
        between = true_minus(ACCURACY.interval(interval, 1, signed=True))
        over = f"95 % interval {between}, over {len(difference['seeds'])} seeds"
    notes.append(
        f"Accuracy is that of a linear classifier on the student's frozen {layer}, on {found['samples']['test']:,} "
        f"test samples of {found['data']}; {best} is the best of {len(compared)} by the same numbers."
    )
    if too_few := few([len(difference["seeds"])]):
        notes.append(too_few)
    headline = Markup(
        "Without labels, <em>{}</em> brings a linear probe to <strong>{} %</strong>, {} points from the untrained "
        "student, {}."
    ).format(best, ACCURACY.number(row["mean"], 1), true_minus(ACCURACY.signed(mean, 1)), over)
    return Headline(verdict, headline, notes)


def _of_collapsed(methods: dict[str, Row]) -> Markup | None:
    """Where no difference is shown because students collapsed."""
    collapsed = [name for name, row in methods.items() if row.get("collapsed")]
    if not collapsed:
        return None
    return Markup("Nothing is compared: students of {} collapsed.").format(", ".join(collapsed))


def _without_comparison(methods: dict[str, Row], scale: Scale) -> Markup:
    best = max(methods, key=lambda name: scale.gain(mean_of(methods[name])))
    row = methods[best]
    reached = scale.text(mean_of(row), 1) if scale == ACCURACY else scale.said(mean_of(row))
    if row["interval"]:
        reached += f", 95 % interval {scale.interval(row['interval'], 1)}"
    reached += f", over {len(row['seeds'])} seed{'s' if len(row['seeds']) > 1 else ''}"
    if best == ALONE and len(methods) == 1:
        return Markup("The student alone reaches <strong>{}</strong>; nothing is compared with it.").format(reached)
    return Markup(
        "<em>{}</em> reaches <strong>{}</strong>; the student alone was not trained on these seeds, "
        "so whether transfer helped is not known."
    ).format(best, reached)


def _against_kd(methods: dict[str, Row], best: str, scale: Scale) -> list[str]:
    if best == "kd" or "kd" not in methods:
        return []
    ours, theirs = methods[best], methods["kd"]
    both = [seed for seed in ours["seeds"] if seed in theirs["seeds"]]
    if len(both) < 2:
        return []
    first, second = ([values_of(row)[row["seeds"].index(seed)] for seed in both] for row in (ours, theirs))
    mean, interval = paired_difference(first, second)
    assert interval is not None
    clear = "clear of" if interval[0] > 0 or interval[1] < 0 else "not clear of"
    between = true_minus(scale.interval(interval, 1, signed=True))
    return [f"Against plain kd it is {true_minus(scale.said_difference(mean))} ({between}), {clear} zero."]


def _notes(run: Run) -> list[str]:
    notes = []
    parts = run.step0.get("data", {}).get("parts", {})
    if "test" in parts and run.judged:
        notes.append(
            f"{run.scale.title} is on {parts['test']['samples']:,} test samples, read once at the end of training."
        )
    finished = sum(student.result is not None for student in run.students)
    if not run.summary.get("complete", True):
        notes.append(
            f"{finished} students are finished and the run is not: numbers will change. `kantor resume` finishes it."
        )
    return notes
