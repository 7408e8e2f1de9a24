"""The page of the battery: what the defaults do to students, over cases, beside the fixed weights of before."""

from pathlib import Path
from statistics import fmean, median

from battery.cases import CASES, SEEDS, Case
from battery.records import Results, Student
from kantor.losses import NeuronTransport
from kantor.objective.weights import LIMIT, LIMIT_ADAMW
from kantor.results.statistics import paired_difference
from kantor.training import Training

CLEARLY = -0.01
"""A method is clearly below the student alone where its whole interval is."""
METHODS = ("kd", "neuron_transport", "kd+neuron_transport", "wcord", "label_transport")
PUBLIC = (
    "`mnist-public` is OTFusion's published perceptron (github.com/sidak/otfusion) on digits of "
    "github.com/cazala/mnist, which `benchmarks/battery/public.py` prepares; the other networks are the battery's own."
)
Gains = dict[str, tuple[float, tuple[float | None, float | None]]]
"""By case: the mean difference to the student alone, and its interval."""
NAMES = {"defaults": "the defaults", "fixed": "fixed weights, no clipping"}


def write_page(results: Results, path: Path) -> None:
    """Write ``docs/defaults.md``.

    Args:
        results: of ``run``.
        path: the page.
    """
    cases = [case for case in CASES if case.name in results]
    lines = [
        "# What the defaults do to a student",
        "",
        f"Every method at its defaults, on {len(cases)} pairs of networks of many makes, every "
        "seed with a draw of labels of its own. Differences are in points of test accuracy to the student alone under "
        "the same policy, paired by seed. *Clearly below* counts cases whose whole interval lies below -1 point.",
        "",
        f"The policy: under its default weight a term pulls on the student at most {LIMIT:g} times as hard as the task "
        f"({LIMIT_ADAMW:g} times under AdamW), neuron transport is such a term at each of the last "
        f"{NeuronTransport().usual_stages} paired stages, and the gradient of a step is clipped at norm "
        f"{Training().clip:g}. Before, weights were fixed, the last stage alone was compared, and nothing was clipped: "
        "`limit: null` and `clip: null` do that still, and the rows *fixed* are of it. Three stages were chosen over "
        "the last alone (`neuron_transport@stages=1`) by their mean gains on the tried pairs.",
        "",
    ]
    students = [len(results[case.name]["defaults"]) for case in cases]
    if len(cases) < len(CASES) or min(students) < len(SEEDS):
        lines += [
            f"**Not all of it has run yet: {len(cases)} of {len(CASES)} cases, and {sum(students)} of "
            f"{len(SEEDS) * len(CASES)} draws.** One seed is no evidence of a small difference; it shows whether a "
            "student is wrecked.",
            "",
        ]
    titles = {
        "unread": "Pairs that the policy was not chosen on",
        "tried": "Pairs like those that it was chosen on",
    }
    for half, title in titles.items():
        some = [case for case in cases if case.half == half]
        if some:
            lines += [f"## {title}: {len(some)} cases", ""]
            if half == "tried":
                lines += ["It was chosen by test accuracy on such pairs, so gains here are optimistic.", ""]
            lines += [*_summary(some, results), ""]
    lines += ["## What was aimed at", "", *_aims(cases, results), ""]
    lines += ["## Case by case", ""]
    lines += _cases(cases, results)
    lines += ["", PUBLIC]
    lines += [
        "",
        "```sh",
        "make battery   # hours on two cores; goes on where it was stopped",
        "```",
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _aims(cases: list[Case], results: Results) -> list[str]:
    """Every aim, and what was found."""
    unread = [case for case in cases if case.half == "unread"]

    def gains(method: str) -> Gains:
        found = {case.name: _both(results, case, "defaults", method) for case in unread}
        return {name: difference(ours, alone) for name, (ours, alone) in found.items() if ours}

    fallen = [
        f"{method} on {case.name}"
        for case in cases
        for method in METHODS
        for ours, alone in [_both(results, case, "defaults", method)]
        if any(mine["collapsed"] and not other["collapsed"] for mine, other in zip(ours, alone, strict=True))
    ]
    lines = [_aim("no student collapses where the student alone does not", not fallen, ", ".join(fallen) or "none did")]
    medians = {method: median(mean for mean, _ in gains(method).values()) for method in METHODS}
    for method in METHODS[1:]:
        below = [name for name, (_, (_, high)) in gains(method).items() if high is not None and high < CLEARLY]
        lines.append(_aim(f"{method} is clearly below in no case", not below, ", ".join(below) or "none"))
    for method in ("neuron_transport", "kd+neuron_transport"):
        said = f"{100 * medians[method]:+.1f}; kd {100 * medians['kd']:+.1f}"
        held = medians[method] >= 0.02 and medians[method] > medians["kd"]
        lines.append(_aim(f"{method} gains two points or more in the median, and more than kd", held, said))
    lines.append(_where(gains("kd"), gains("neuron_transport")))
    public = next((case for case in cases if case.name == "mnist-public"), None)
    if public is not None:
        mean, (low, high) = difference(*_both(results, public, "defaults", "neuron_transport"))
        spread = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
        said = f"{100 * mean:+.1f}{spread}"
        lines.append(_aim("on mnist-public, neuron_transport gains five points or more", mean >= 0.05, said))
    return lines


def _where(kd: Gains, ours: Gains) -> str:
    """Where a method's gains are, for a median that says little: a teacher that has nothing to give gives nothing."""
    helped = [name for name, (mean, _) in kd.items() if mean >= 0.02]
    said = []
    for names in (helped, [name for name in kd if name not in helped]):
        means = sorted(ours[name][0] for name in names)
        said.append(f"{100 * means[0]:+.1f} to {100 * means[-1]:+.1f}" if means else "nothing known")
    return (
        f"- The gains of neuron_transport lie apart: {said[0]} in the {len(helped)} cases where kd gains two points or "
        f"more, {said[1]} in the {len(kd) - len(helped)} others of the same classes, where such a teacher has little "
        "to give to such a student."
    )


def _aim(what: str, held: bool, found: str) -> str:
    return f"- {'Reached' if held else '**Missed**'}: {what}. Found: {found}."


def _summary(cases: list[Case], results: Results) -> list[str]:
    lines = [
        "| method | policy | cases | draws | median gain | mean gain | worst case | clearly below | collapsed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for method in ("none", *METHODS):
        for policy, name in NAMES.items():
            found = [(case, _both(results, case, policy, method)) for case in cases]
            known = [(case, ours, alone) for case, (ours, alone) in found if ours]
            if not known:
                continue
            students = [student for _, ours, _ in known for student in ours]
            cells = ["", "", "", ""]
            if method != "none":
                gains = [difference(ours, alone) for _, ours, alone in known]
                below = sum(high is not None and high < CLEARLY for _, (_, high) in gains)
                means = [mean for mean, _ in gains]
                worst = min(range(len(means)), key=means.__getitem__)
                cells = [
                    f"{100 * median(means):+.1f}", f"{100 * fmean(means):+.1f}",
                    f"{100 * means[worst]:+.1f} ({known[worst][0].name})", str(below),
                ]  # fmt: skip
            fallen = sum(student["collapsed"] for student in students)
            lines.append(
                f"| {method} | {name} | {len(known)} | {len(students)} | {' | '.join(cells)} | "
                f"{fallen} of {len(students)} |"
            )
    return lines


def _both(results: Results, case: Case, policy: str, method: str) -> tuple[list[Student], list[Student]]:
    """A method's students and those alone, of the same seeds in the same order."""
    held = [seed for seed in results[case.name].get(policy, {}).values() if method in seed]
    return [seed[method] for seed in held], [seed["none"] for seed in held]


def difference(ours: list[Student], alone: list[Student]) -> tuple[float, tuple[float | None, float | None]]:
    """Mean paired difference and its 95 % interval; a student that diverged is right on nothing."""
    mean, interval = paired_difference(*([student["accuracy"] or 0.0 for student in row] for row in (ours, alone)))
    return mean, interval or (None, None)


def _cases(cases: list[Case], results: Results) -> list[str]:
    lines = [
        f"| case | half | teacher to student | labels a class | seeds | alone | {' | '.join(METHODS)} |",
        f"|---|---|---|---|---|---|{'---|' * len(METHODS)}",
    ]
    for case in cases:
        cells = []
        for method in METHODS:
            ours, alone = _both(results, case, "defaults", method)
            if not ours:
                cells.append("")
                continue
            mean, (low, high) = difference(ours, alone)
            spread = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
            cells.append(f"{100 * mean:+.1f}{spread}")
        alone, _ = _both(results, case, "defaults", "none")
        reached = 100 * fmean(student["accuracy"] or 0.0 for student in alone)
        how = f"{case.settings['optimizer']}, batches of {case.settings['batch_size']}"
        who = f"`{case.teacher}` to `{case.student}`, {how}"
        lines.append(
            f"| {case.name} | {case.half} | {who} | {case.labels} | {len(alone)} | {reached:.1f} | "
            f"{' | '.join(cells)} |"
        )
    return lines
