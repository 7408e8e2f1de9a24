"""RESULTS.md, from what a run's files say.

python examples/faculty/page.py keep RUN [NAME]    keep the run's figures as results.json, then write RESULTS.md; with a
                                                   name, results-NAME.json and RESULTS-NAME.md
python examples/faculty/page.py                    the pages from what was kept
"""

import itertools
import json
import re
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from teachers import LABELS, TASKS, taking_part
from trials import BOTH, LABEL, NEURON

from kantor import load
from kantor.data import open_data
from kantor.faculty import Ranking
from kantor.faculty.agreement import Agreement, agreement
from kantor.faculty.inverse import learned_cost
from kantor.results.statistics import paired_difference

HERE = Path(__file__).parent
_NUMBERS = {3: "three", 5: "five", 8: "eight", 12: "twelve"}
REACHED = {LABEL: "label_transport", NEURON: "feature transfer (neuron_transport)"}


def keep(run: Path) -> dict[str, Any]:
    """Rankings, choices and students of every task, as far as the run has come."""
    arguments = _relative(json.loads((run / "run.json").read_text())["arguments"])
    teachers, tasks = taking_part(wide="--wide" in arguments)
    found: dict[str, Any] = {
        "arguments": arguments,
        "teachers": {name: _summary(run / "teachers" / name)["none"]["mean"] for name in teachers},
        "expected": tasks,
        "tasks": {},
    }
    for task in tasks:
        if not (run / f"chosen-{task}.json").exists():
            continue
        ranking = Ranking.read(run / f"rank-{task}" / "ranking.json")
        chosen = json.loads((run / f"chosen-{task}.json").read_text())
        reached: dict[str, dict[str, Any]] = {}
        for teacher in teachers:
            for folder in sorted((run / "studies" / task).glob(f"final-{teacher}-*")):
                if (folder / "summary.json").exists() and json.loads((folder / "summary.json").read_text())["complete"]:
                    rows = _summary(folder)
                    kept = {m: {k: row[k] for k in ("accuracy", "seconds")} for m, row in rows.items()}
                    reached.setdefault(teacher, {}).update(kept)
        found["tasks"][task] = {
            "order": ranking.order,
            "recommendation": ranking.recommendation,
            "scores": {t.name: {"scores": t.scores, "seconds": t.score_seconds} for t in ranking.teachers},
            "chosen": _relative(chosen),
            "held_out": _held_out(run, task, ranking.order[0]),
            "students": reached,
        }
    return found


def _summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())["methods"]


def _held_out(run: Path, task: str, teacher: str) -> dict[str, float | None]:
    """What a learned cost explains of the labelled images, and of the validation images it was not learned from."""
    predictions, labels = [], []
    for name, part in ((task, "train"), (f"{task}-choosing", "test")):
        data = open_data(run / "data" / f"{name}.npz", validation=0, labels_per_class=LABELS)
        shape = data.train.input_shapes["teacher"]
        model = load(str(run / "teachers" / teacher / "none" / "seed-0" / "student.safetensors"), input_shape=shape)
        chosen = data.part(part)
        with torch.no_grad():
            predictions.append(model.eval()(chosen.read(np.arange(len(chosen)))["teacher"]).softmax(1))
        labels.append(torch.from_numpy(chosen.targets))
    learned = learned_cost(predictions[0], labels[0], len(TASKS[task]), held_out=(predictions[1], labels[1]))
    return {"fitted": learned.fitted, "held_out": learned.held_out}


def _relative(content: Any) -> Any:
    """Data lies beside the checkout, and runs in it, wherever that is."""
    text = re.sub(r'/[^" ]*/shared/data', "../shared/data", json.dumps(content))
    return json.loads(re.sub(r'/[^" ]*/(faculty[\w-]*)(?=")', r"runs/\1", text))


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    tasks = {task: found for task, found in results["tasks"].items() if _first(found)}
    unlabelled = int(_option(results["arguments"], "--unlabelled") or 0)
    beside = ""
    if unlabelled:
        beside = (
            f" Every method but the student alone saw {unlabelled} further images of each class without their labels. "
            "No teacher saw these, nor the labelled ones, which are others than in `RESULTS.md`."
        )
    seeds = "seeds" if len(_option(results["arguments"], "--tune-seeds").split()) > 1 else "a seed"
    lines = [
        "# What `faculty.py` found",
        "",
        "```sh",
        f"python examples/faculty/faculty.py {' '.join(results['arguments'])}",
        "```",
        "",
        f"{_NUMBERS[len(results['teachers'])].capitalize()} ResNet-8 teachers, {_NUMBERS[len(results['expected'])]} "
        "tasks of four classes with 20 labelled images each, a small CNN as "
        f"student.{beside} Test accuracy in %, differences in points with 95 % intervals, paired by seed. Seeds change "
        "the student's start and order; the labelled images are the same for all. Each method had four trials on 80 "
        f"validation images of each class, with {seeds} of their own; the student alone too, whose learning rate and "
        "weight decay all take. The two together had four more trials, from what each had alone; the trials of "
        "label_transport were picked after a search of its own, at the end of this page. Settings were chosen with the "
        "teacher ranked first; the others teach with the same, which favours the first.",
        "",
        "Teachers, on test images of their own classes: "
        + ", ".join(f"{name} {100 * accuracy:.0f}" for name, accuracy in results["teachers"].items())
        + ".",
        "",
        "## Targets",
        "",
        *_targets(results, tasks),
        "",
        "## The teacher ranked first",
        "",
    ]
    if not tasks:
        lines += ["No task is finished.", ""]
    for task, found in tasks.items():
        lines += _of_task(task, found)
    if len(tasks) > 1:
        lines += _pooled(tasks)
    lines += ["## Do scores agree with what is reached?", ""]
    for loss, called in REACHED.items():
        lines += _agreement(loss, called, results)
    lines += _trials(results["tasks"])
    lines += _searched(wide="--wide" in results["arguments"])
    return "\n".join(lines).rstrip() + "\n"


def _option(arguments: list[str], name: str) -> str:
    """The values given to an option."""
    given = [part for argument in arguments for part in argument.split("=", 1)]
    values = given[given.index(name) + 1 :] if name in given else []
    return " ".join(itertools.takewhile(lambda value: not value.startswith("--"), values))


def _first(found: dict[str, Any]) -> dict[str, Any] | None:
    """The students of the first teacher, where all of its methods are finished."""
    students = found["students"].get(found["order"][0], {})
    return students if {"none", *found["chosen"]["methods"]} <= set(students) else None


def _difference(pairs: list[tuple[list[float], list[float]]]) -> tuple[float, float, float]:
    """Mean and interval of the differences, those of several tasks side by side."""
    ours, theirs = ([x for pair in pairs for x in pair[k]] for k in (0, 1))
    mean, interval = paired_difference(ours, theirs)
    assert interval is not None
    return 100 * mean, 100 * interval[0], 100 * interval[1]


def _targets(results: dict[str, Any], tasks: dict[str, Any]) -> list[str]:
    lines = []
    pairs = {task: (found["students"][found["order"][0]], found) for task, found in tasks.items()}
    if len(tasks) == len(results["expected"]):
        gains = {t: _difference([(s[LABEL]["accuracy"], s["none"]["accuracy"])]) for t, (s, _) in pairs.items()}
        pooled = _difference([(s[LABEL]["accuracy"], s["none"]["accuracy"]) for s, _ in pairs.values()])
        said = ", ".join(f"{t} {_text(gain)}" for t, gain in gains.items())
        clear = ", ".join(t for t, gain in gains.items() if gain[1] > 0) or "none"
        lines += [
            "- label_transport with the first teacher above the student alone, clear of zero: "
            f"**{'met' if pooled[1] > 0 else 'missed'}** over the tasks together, {_text(pooled)}. Of the tasks "
            f"alone it is clear for {clear}: {said}."
        ]
    else:
        lines += ["- label_transport against the student alone: not measured in every task yet."]
    for loss, called in REACHED.items():
        found = _agreements(loss, results)
        if not found:
            lines += [f"- transport's tau against {called}: not measured yet."]
            continue
        own = found["transport"]
        other = max((name for name in found if name != "transport"), key=lambda name: found[name].tau)
        clear, near = own.tau_interval[0] > 0, own.tau >= found[other].tau_interval[0]
        lines += [
            f"- transport's tau against {called} clear of zero: **{'met' if clear else 'missed'}** ({_tau(own)}); not "
            f"below the best other's ({other}, {_tau(found[other])}) by more than its interval: "
            f"**{'met' if near else 'missed'}**."
        ]
    return lines


def _of_task(task: str, found: dict[str, Any]) -> list[str]:
    students, held = found["students"][found["order"][0]], found["held_out"]
    chosen = found["chosen"]["methods"]
    lines = [f"### {task}: {', '.join(TASKS[task])}", "", found["recommendation"], ""]
    lines += row("method", "accuracy", "to the student alone", "settings", "seconds") + row(*["---"] * 5)
    for method, result in students.items():
        if method != "none" and method not in chosen:
            continue
        gain = "" if method == "none" else _text(_difference([(result["accuracy"], students["none"]["accuracy"])]))
        with_what = _training(found) if method == "none" else _settings(chosen[method]["chosen"])
        lines += row(method, f"{100 * fmean(result['accuracy']):.1f}", gain, with_what, f"{result['seconds']:.1f}")
    lines += [""]
    if "kd" not in chosen:
        lines += ["KD cannot be used: the teacher's classes are others."]
    return [
        *lines,
        f"A cost learned from the labelled images explains {held['fitted']:.2f} nats of them, and "
        f"{held['held_out']:.2f} of the validation images.",
        "",
    ]


def _pooled(tasks: dict[str, Any]) -> list[str]:
    lines = [
        f"### {len(tasks)} tasks together",
        "",
        "Over seeds and tasks side by side: it says nothing of tasks beyond these.",
        "",
    ]
    lines += row("method", "to the student alone", "tasks") + row("---", "---", "---")
    methods = dict.fromkeys(m for found in tasks.values() for m in found["chosen"]["methods"])
    for method in methods:
        firsts = [
            found["students"][found["order"][0]] for found in tasks.values() if method in found["chosen"]["methods"]
        ]
        gain = _difference([(first[method]["accuracy"], first["none"]["accuracy"]) for first in firsts])
        lines += row(method, _text(gain), str(len(firsts)))
    firsts = [found["students"][found["order"][0]] for found in tasks.values()]
    added = _difference([(first[BOTH]["accuracy"], first[NEURON]["accuracy"]) for first in firsts])
    return [*lines, "", f"What label_transport adds to neuron_transport: {_text(added)}.", ""]


def _agreements(loss: str, results: dict[str, Any]) -> dict[str, Agreement]:
    """By score; empty unless every teacher taught in every task."""
    names, tasks = list(results["teachers"]), results["tasks"]
    if len(tasks) < len(results["expected"]) or any(
        loss not in found["students"].get(n, {}) for found in tasks.values() for n in names
    ):
        return {}
    reached = np.array([[fmean(found["students"][n][loss]["accuracy"]) for n in names] for found in tasks.values()])
    scores = dict.fromkeys(s for found in tasks.values() for t in found["scores"].values() for s in t["scores"])
    return {
        score: agreement(
            np.array([[found["scores"][n]["scores"].get(score, np.nan) for n in names] for found in tasks.values()]),
            reached,
        )
        for score in scores
    }


def _agreement(loss: str, called: str, results: dict[str, Any]) -> list[str]:
    found, names, tasks = _agreements(loss, results), list(results["teachers"]), results["tasks"]
    lines = [f"### With {called}", ""]
    if not found:
        done = sum(loss in s for task in tasks.values() for s in task["students"].values())
        return [*lines, f"Not finished: {done} of {len(results['expected']) * len(names)} teachers taught.", ""]
    lines += row("score", "weighted tau", "95 % interval", "Pearson", "95 % interval", "seconds a teacher")
    lines += row(*["---"] * 6)
    for score, a in found.items():
        spent = fmean(t["seconds"].get(score, 0) for task in tasks.values() for t in task["scores"].values())
        low, high = a.pearson_interval
        tau = "{:.2f} to {:.2f}".format(*a.tau_interval)
        lines += row(score, f"{a.tau:.2f}", tau, f"{a.pearson:.2f}", f"{low:.2f} to {high:.2f}", f"{spent:.2f}")
    lines += ["", *row("task", "alone", *names), *row(*["---"] * (2 + len(names)))]
    for task, of_task in tasks.items():
        students = of_task["students"]
        cells = [f"{100 * fmean(students[name][loss]['accuracy']):.1f}" for name in names]
        alone = students[of_task["order"][0]]["none"]["accuracy"]
        lines += row(task, f"{100 * fmean(alone):.1f}", *cells)
    return [*lines, ""]


def _trials(tasks: dict[str, Any]) -> list[str]:
    lines = ["## Trials", "", "Validation accuracy; the settings taken are in bold.", ""]
    lines += row("task", "method", "trials") + row("---", "---", "---")
    for task, found in tasks.items():
        alone = [(_training({"chosen": {"training": t}}), t["accuracy"]) for t in found["chosen"]["alone"]]
        taken = _training(found)
        lines += row(task, "none", _tried(alone, taken))
        for method, its in found["chosen"]["methods"].items():
            lines += row(
                task, method, _tried([(_settings(t), t["accuracy"]) for t in its["trials"]], _settings(its["chosen"]))
            )
    return [*lines, ""]


def _tried(trials: list[tuple[str, float]], taken: str) -> str:
    return "; ".join(f"**{what}: {100 * a:.1f}**" if what == taken else f"{what}: {100 * a:.1f}" for what, a in trials)


def _searched(*, wide: bool) -> list[str]:
    before = (
        " Eight of the teachers and three of the tasks are those of `RESULTS-unlabelled.md`: intervals over these were "
        "too wide to say what the agreement is, and four teachers and two tasks were added, named before anything was "
        "trained with them. Students of the old ones stand where the teacher ranked first is the same."
    )
    return [
        "## What was tried before",
        "",
        "The trials of label_transport were picked after a look at some 25 settings on validation images, with the "
        "first teacher, which no command here repeats and the other methods did not get. Timing runs before it printed "
        f"test accuracy too; no setting was taken from them.{before if wide else ''} wcord was trained before its "
        "positive pairs were read from its memory.",
    ]


def _settings(trial: dict[str, Any]) -> str:
    cost = [trial["cost"].partition(":")[0]] if any(term["loss"] == LABEL for term in trial["terms"]) else []
    said = []
    for term in trial["terms"]:
        name = [term["loss"]] if len(trial["terms"]) > 1 else []
        own = [f"{key} {value:g}" for key, value in term.get("settings", {}).items()]
        said.append(" ".join([*name, f"weight {term['weight']:g}", *own]))
    return ", ".join([*cost, *said])


def _training(found: dict[str, Any]) -> str:
    training = found["chosen"]["training"]
    return f"lr {training['lr']:g}, weight decay {training['weight_decay']:g}"


def _text(gain: tuple[float, float, float]) -> str:
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*gain)


def _tau(found: Agreement) -> str:
    return "{:.2f}, {:.2f} to {:.2f}".format(found.tau, *found.tau_interval)


def row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


if __name__ == "__main__":
    if sys.argv[1:2] == ["keep"]:
        name = "".join(f"-{name}" for name in sys.argv[3:4])
        (HERE / f"results{name}.json").write_text(json.dumps(keep(Path(sys.argv[2])), indent=1) + "\n")
    for path in HERE.glob("results*.json"):
        path.with_name(f"{path.stem.replace('results', 'RESULTS')}.md").write_text(page(json.loads(path.read_text())))
