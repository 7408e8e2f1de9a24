"""Run the evidence studies and write docs/evidence.md from what they found.

python docs/evidence.py run [STUDY ...]    run them (each goes on where it stopped), keep what they say, write the page
python docs/evidence.py run STUDY --full   the same at the papers' size, for a GPU, in runs/evidence-full; keeps nothing
python docs/evidence.py                    the page, from docs/results/evidence-*.json
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import yaml
from results import HERE, keep, read
from scipy import stats

from kantor.results.statistics import paired_difference

OURS = ("neuron_transport", "wcord", "gckt", "lckt", "label_transport")
LEVEL = 0.95
READ_BEFORE = "†"
RUNS = Path("runs") / "evidence"
# Options that make the studies that others build on the papers' size.
FULL_FIRST = {
    "narrow-teacher": "--train-limit 59000 --epochs 30",
    "narrow-alone": "--labels-per-class 500 --epochs 100",
    "new-task-compressed": "--train-limit 50000 --epochs 240",
    "new-task-compressed-stages": "--train-limit 50000 --epochs 240",
    "compression-alone": "--train-limit 50000 --validation 0.1 --epochs 240",
    "other-family-alone": "--train-limit 50000 --validation 0.1 --epochs 240",
}


@dataclass(frozen=True)
class Setting:
    """One study. Its configuration is examples/evidence/NAME.yaml."""

    title: str
    what: str
    plain: str
    """The plain baseline that a method is to beat beside the student alone."""
    alone: str = "none"
    """The student alone: trained as the others are, without transfer."""
    command: str = "distill"
    first: tuple[str, ...] = ()
    """Studies that it builds on, as examples/evidence/FIRST.yaml and runs/evidence/FIRST."""
    full: str = ""
    """Options that make it the papers' size, for a GPU."""
    probed: bool = False
    """Judged by linear probes after the last stage, since its students learn without labels."""
    remark: str = ""
    """What its table does not say. `{STUDY/METHOD}` stands for a mean accuracy."""
    read_before: bool = False
    """Its confirming seeds had been read when it was searched again, or when a row of it was added."""


SETTINGS = {name: Setting(**said) for name, said in yaml.safe_load((HERE / "studies.yaml").read_text("utf-8")).items()}


def run(name: str, *, full: bool = False) -> None:
    """Train what is not trained yet, and keep what the run's files say."""
    setting, root = SETTINGS[name], RUNS
    config = Path("examples") / "evidence" / f"{name}.yaml"
    firsts = [(first, config.with_stem(first)) for first in setting.first]
    options = []
    if full:  # what refers to the runs of a first stage refers to its full-size runs
        root, options = Path("runs") / "evidence-full", setting.full.split()
        root.mkdir(parents=True, exist_ok=True)
        text = config.read_text(encoding="utf-8").replace(RUNS.as_posix(), root.as_posix())
        config = root / f"{name}.yaml"
        config.write_text(text, encoding="utf-8")
    for first, path in firsts:
        size = FULL_FIRST[first].split() if full else []
        _kantor("distill", "--config", str(path), *size, "--out", str(root / first))
    _kantor(setting.command, "--config", str(config), *options, "--out", str(root / name))
    if setting.probed:
        _kantor("probe", str(root / name))
    if not full:
        keep(f"evidence-{name}", [root / name])


def _kantor(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "kantor", *arguments], check=True)


def page() -> str:
    done = [name for name in SETTINGS if (HERE / "results" / f"evidence-{name}.json").exists()]
    lines = [
        "# Evidence",
        "",
        "What transfer brings in each setting, on real data, from `make evidence` (`STUDY=name` for one; it goes on "
        "where it stopped). Sizes fit two cores; `python docs/evidence.py run NAME --full` trains at the papers' "
        "sizes, which needs a GPU and has not been run.",
        "",
        "Protocol: every method has the same number of trials on validation data, with seeds of their own. The best of "
        "kantor's methods there is *named* before the test part is read, and confirmed on fresh seeds; where they had "
        f"been read before, the study is marked {READ_BEFORE}. Its intervals are plain 95 % intervals of differences "
        "paired by seed; those of the other rows are widened for their number in their column (Holm). Accuracy in %, "
        "differences in points; seconds were taken on shared cores and do not compare methods. *Weights times* is the "
        "factor that the trials chose: of all of a method's loss weights, or of the learning rate for a method that "
        "has none (`none`, `scratch`, `two_step`).",
        "",
        "Seeds vary the start of the student, the order of samples and their augmentation. Which images have labels, "
        "which choose the epoch and which test is one draw for all seeds, and so are most teachers: the intervals are "
        "for that draw, and say nothing of another one.",
        "",
    ]
    lines += ["## In short", "", *_short(done), ""]
    waiting = [setting.title.lower() for name, setting in SETTINGS.items() if name not in done]
    if waiting:
        lines += [f"Ready to run, and without results yet: {', '.join(waiting)}.", ""]
    for name in done:
        lines += _section(name, SETTINGS[name])
    lines += [
        "## Does the optimal plan matter?",
        "",
        "Where the student starts from nothing: mostly less than the transport. It can take any order of units, so a "
        "plan that stands still from the first step does nearly as well as the optimal one, if that is sharp, and "
        "better if it is not: over positions the default is sharper since a search on validation images "
        "([how sharp](default-epsilon.md)); with the softer one before it the student held at three stages was clearly "
        "below the identity plan. Exceptions, in bold below, are eight units to one, another view, and digits with "
        "instances without labels. Tried besides, one seed, on validation images, without gain: a quarter of the "
        "width; the teacher's units grouped by correlation beforehand and the groups matched to the student's; for a "
        "trained start a plan that stands still, one renewed each epoch, and masses by activation norm.",
        "",
        "Where its units mean something from the first step, in an order of their own, and transport holds it: yes, "
        "for a fixed plan makes units trade places first. So it is in compression, and on a new task after two steps. "
        "Not told apart: with a vision transformer, and mostly beside kd. In fine-tuning a student starts as its "
        "teacher, so that the identity plan is the optimal one. How clear a difference is moves with the search. Every "
        "pair of rows above that differs in the plan alone, in points with plain 95 % intervals, not widened for their "
        "number; in bold where both are above zero:",
        "",
        *_plans(done),
        "",
        "Which of many teachers, and learning from one whose labels are others: `examples/faculty/RESULTS.md`, and "
        "with images without labels `examples/faculty/RESULTS-unlabelled.md` and `RESULTS-wide.md`. A language model "
        "with another tokenizer than its student's: `examples/language/RESULTS.md`.",
    ]
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, setting: Setting) -> list[str]:
    study = read(f"evidence-{name}")
    methods, config = _methods(name), study["config"]
    named = _named(study["tuning"])
    trials = len(config["tune"]) * len(config["tune_seeds"])
    ends = [method for method, found in study["tuning"].items() if _at_an_end(found)]
    lines = [
        f"## {setting.title}",
        "",
        f"{setting.what} {trials} trials a method; seeds {config['seeds'][0]} to {config['seeds'][-1]}. "
        f"Named on validation data: **{named}**. At an end of the range of factors tried were "
        f"{len(ends)} of {len(study['tuning'])} methods{': ' + ', '.join(ends) if ends else ''}.",
        "",
        "```sh",
        *(f"kantor distill --config examples/evidence/{first}.yaml --out {RUNS / first}" for first in setting.first),
        *study["commands"],
        *([f"kantor probe {RUNS / name}"] if setting.probed else []),
        "```",
        "",
        f"| method | accuracy | to the student alone | to {setting.plain} | to the identity plan | to a random plan "
        "| weights times | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    columns = {
        other: _differences(methods, named, partner)
        for other, partner in {
            setting.alone: lambda _: setting.alone,
            setting.plain: lambda _: setting.plain,
            "identity": lambda method: _control(method, "identity"),
            "random": lambda method: _control(method, "random"),
        }.items()
    }
    for method, row in methods.items():
        label = f"**{method}**" if method == named else method
        cells = [columns[other].get(method, "") for other in columns]
        chosen = study["tuning"][method]["chosen"]
        lines.append(f"| {label} | {100 * row['mean']:.1f} | {' | '.join(cells)} | {chosen:g} | {row['seconds']:.0f} |")
    lines += ["", _verdict(methods, named, setting), ""]
    if setting.remark:
        lines += [re.sub(r"\{([\w-]+)/([^}]+)\}", lambda found: _mean(*found.groups()), setting.remark), ""]
    return lines


def _at_an_end(found: dict) -> bool:
    tried = [trial["factor"] for trial in found["trials"]]
    return found["chosen"] in (min(tried), max(tried))


def _said(methods: dict, named: str, setting: Setting) -> dict[str, list[str]]:
    """What the named method's plain intervals say of each comparison that the study was made for."""
    partners = {
        "the student alone": setting.alone,
        setting.plain: setting.plain,
        "the identity plan": _control(named, "identity"),
        "a random plan": _control(named, "random"),
    }
    said: dict[str, list[str]] = {"above": [], "not told apart from": [], "below": []}
    for what, partner in partners.items():
        if partner in methods and partner != named:
            _, interval = paired_difference(methods[named]["accuracy"], methods[partner]["accuracy"], LEVEL)
            assert interval is not None
            said["above" if interval[0] > 0 else "below" if interval[1] < 0 else "not told apart from"].append(what)
    return said


def _verdict(methods: dict, named: str, setting: Setting) -> str:
    parts = [f"{how} {', '.join(which)}" for how, which in _said(methods, named, setting).items() if which]
    return f"{named}: {'; '.join(parts)}."


def _short(done: list[str]) -> list[str]:
    """The method named in each study, beside what it is to beat."""
    table = [
        "| study | named method | accuracy | to the student alone | to the plain baseline |",
        "|---|---|---|---|---|",
    ]
    above = 0
    for name in done:
        setting, methods = SETTINGS[name], _methods(name)
        named = _named(read(f"evidence-{name}")["tuning"])
        cells = []
        for partner in (setting.alone, setting.plain):
            mean, interval = paired_difference(methods[named]["accuracy"], methods[partner]["accuracy"], LEVEL)
            mark = "**" if interval is not None and interval[0] > 0 else ""
            cells.append(f"{mark}{_text(mean, interval)}{mark}")
        above += all(cell.startswith("**") for cell in cells)
        cells[1] += f", {setting.plain.partition(':')[0]}"
        anchor = re.sub(r"[^\w -]", "", setting.title.lower()).replace(" ", "-")
        mark = f" {READ_BEFORE}" if setting.read_before else ""
        reached = f"{100 * methods[named]['mean']:.1f}"
        table.append(f"| [{setting.title}](#{anchor}){mark} | {named} | {reached} | {' | '.join(cells)} |")
    return [
        f"In {above} of {len(done)} studies the named method is above both the student alone and the plain baseline. "
        "Whether the plan has to be the optimal one is a question of its own: [below](#does-the-optimal-plan-matter).",
        "",
        "The method named in each study, in points above the student alone and above the plain baseline; **bold** "
        "where the whole interval is above zero. Plain 95 % intervals, not widened for their number: of twenty, one "
        f"misses what it is for. {READ_BEFORE}: the confirming seeds had been read when the study was searched again "
        "over a wider range, or when a row was added; its remark says what changed.",
        "",
        *table,
    ]


def _plans(done: list[str]) -> list[str]:
    """Every method with the optimal plan beside the same one with the identity and with a random plan."""
    lines = ["| setting | method | to the identity plan | to a random plan |", "|---|---|---|---|"]
    for name in done:
        methods = _methods(name)
        for method, row in methods.items():
            partners = [_control(method, plan) for plan in ("identity", "random")]
            if all(partner in methods for partner in partners):
                found = [
                    paired_difference(row["accuracy"], methods[partner]["accuracy"], LEVEL) for partner in partners
                ]
                mark = "**" if all(interval is not None and interval[0] > 0 for _, interval in found) else ""
                shown = " | ".join(_text(*pair) for pair in found)
                lines.append(f"| {SETTINGS[name].title} | {mark}{method}{mark} | {shown} |")
    return lines


def _methods(name: str) -> dict:
    """What each method reached: on the test part, or by the probe of its last stage."""
    study = read(f"evidence-{name}")
    if not SETTINGS[name].probed:
        return study["methods"]
    return {m: _last(layers) | {"seconds": study["methods"][m]["seconds"]} for m, layers in study["probe"].items()}


def _mean(name: str, method: str) -> str:
    return f"{100 * _methods(name)[method]['mean']:.1f} %"


def _text(mean: float, interval: tuple[float, float] | None) -> str:
    assert interval is not None
    low, high = (100 * bound for bound in interval)
    return f"{100 * mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _last(layers: dict) -> dict:
    return list(layers.values())[-1]


def _named(tuning: dict) -> str:
    """The best of ours on validation data; a control is none of ours."""
    ours = [m for m in tuning if any(loss in m for loss in OURS) and "plan=" not in m]
    return max(ours, key=lambda m: max(trial["validation_accuracy"] for trial in tuning[m]["trials"]))


def _control(method: str, plan: str) -> str | None:
    if "neuron_transport" not in method or "plan=" in method:
        return None
    return method.replace("neuron_transport", f"neuron_transport@plan={plan}")


def _differences(methods: dict, named: str, partner) -> dict[str, str]:
    """Paired differences to each method's partner: the named one's at the plain level, the others' at Holm's."""
    pairs = {
        m: (row["accuracy"], methods[partner(m)]["accuracy"]) for m, row in methods.items() if partner(m) in methods
    }
    pairs = {m: pair for m, pair in pairs.items() if partner(m) != m}
    others = [m for m in pairs if m != named]
    levels = _holm({m: _p_value(*pairs[m]) for m in others})
    shown = {}
    for method, (ours, theirs) in pairs.items():
        shown[method] = _text(*paired_difference(ours, theirs, levels.get(method, LEVEL)))
    return shown


def _holm(p_values: dict[str, float]) -> dict[str, float]:
    """The level of each method's interval, which is clear of zero just where Holm's procedure rejects.

    It goes from the smallest p value to the largest, at levels that become milder, up to the first that it does not
    reject; from there on the level stays.
    """
    levels: dict[str, float] = {}
    level, rejecting = LEVEL, True
    for place, method in enumerate(sorted(p_values, key=lambda m: p_values[m])):
        if rejecting:
            level = 1 - (1 - LEVEL) / (len(p_values) - place)
            rejecting = p_values[method] < 1 - level
        levels[method] = level
    return levels


def _p_value(ours: list[float], theirs: list[float]) -> float:
    if fmean(ours) == fmean(theirs):
        return 1.0
    return float(stats.ttest_rel(ours, theirs).pvalue)


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        studies = [name for name in sys.argv[2:] if name != "--full"] or list(SETTINGS)
        unknown = [name for name in studies if name not in SETTINGS]
        if unknown:
            print(f"There is no study {', '.join(unknown)}. There are: {', '.join(SETTINGS)}.", file=sys.stderr)
            sys.exit(2)
        for chosen in studies:
            run(chosen, full="--full" in sys.argv)
    (HERE / "evidence.md").write_text(page())
