"""Does the ranking pick the teacher that helps? Eight teachers, three tasks, other classes, few labels.

Small residual networks are trained on class subsets of CIFAR-10 and of twenty classes of Tiny-ImageNet. Each of three
tasks has 20 labelled images of each of its classes, none of which a teacher saw. ``kantor rank`` scores the teachers on
these images; then a student learns from each teacher with label_transport, and the scores are compared with the
accuracy that it reaches. From the checkout's root, with the data folder that has ``cifar10/``,
``tiny_imagenet_20.zip`` and ``glove/``:

    python examples/faculty/faculty.py --data ../shared/data --out runs/faculty

What it found is in ``RESULTS.md`` beside this file.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console

from kantor.data import DataSet, open_data
from kantor.faculty import Rank, Ranking, rank_teachers
from kantor.faculty.agreement import agreement
from kantor.faculty.roster import spec_of, teacher_names
from kantor.study import Study, run_study

TEACHERS = {
    "pets-birds": ["cat", "dog", "bird", "frog"],
    "hoofed": ["deer", "horse", "bird", "frog"],
    "road-air": ["automobile", "truck", "airplane"],
    "sea-road": ["ship", "automobile", "airplane", "truck"],
    "wild": ["lion", "bee", "teddy", "brass", "organ"],
    "cars": ["convertible", "limousine", "scoreboard", "umbrella", "basketball"],
    "still": ["barn", "candle", "dam", "fountain", "lemon", "pizza", "plate"],
    "mixed": ["cat", "truck", "ship", "lion", "lemon"],
}
TASKS = {
    "quadrupeds": ["cat", "dog", "deer", "horse"],
    "vehicles": ["airplane", "automobile", "ship", "truck"],
    "wild-and-road": ["lion", "bee", "convertible", "limousine"],
}
LOSSES = [
    {"loss": "label_transport", "weight": 4.0, "settings": {"temperature": 3.0}},
    {"loss": "neuron_transport", "weight": 5.0},
]
"""What a student learns with: across label spaces, and from features."""
PER_CLASS = 20
HELD_BACK = 100
"""Training images of each class that no teacher sees, from which the tasks' labelled ones are taken."""


def subset(folder: Path, name: str, sources: list[DataSet], classes: list[str], rows: slice) -> Path:
    """An npz with these classes: of each, these training images (in the order of their ids) and the test images."""
    path = folder / f"{name}.npz"
    if path.exists():
        return path
    arrays: dict[str, list[np.ndarray]] = {f"{a}_{p}": [] for a in "xy" for p in ("train", "test")}
    for label in classes:
        source = next(data for data in sources if label in data.classes)
        for part, chosen in ((source.train, rows), (source.part("test"), slice(0, 200))):
            at = np.flatnonzero(part.targets == source.classes.index(label))[chosen]
            images = (255 * part.read(at)["student"]).round().byte().numpy()
            arrays[f"x_{part.name}"].append(images)
            arrays[f"y_{part.name}"].append(np.full(len(at), label))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{key: np.concatenate(parts) for key, parts in arrays.items()})
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/faculty"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--teacher-epochs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=0)
    options = parser.parse_args()
    quiet, console = Console(quiet=True), Console(width=120)
    folder = options.out
    sources = [
        open_data(options.data / "cifar10", train_limit=9000, validation=0),
        open_data(options.data / "tiny_imagenet_20.zip", image_size=32, validation=0),
    ]
    words = f"glove:{options.data / 'glove' / 'glove_twitter_25d.npz'}"
    common = {"validation": 0.0, "augment": "mirror", "record_plans": "every=0", "jobs": options.jobs, "threads": 1}

    teachers = []
    for name, classes in TEACHERS.items():
        data = subset(folder / "data", f"teacher-{name}", sources, classes, slice(HELD_BACK, None))
        study = Study(
            data=str(data),
            student="resnet8",
            methods="none",
            seeds=1,
            epochs=options.teacher_epochs,
            batch_size=64,
            out=str(folder / name),
            **common,
        )
        run_study(study, quiet)
        teachers.append(
            {"name": name, "model": str((folder / name / "none" / "seed-0").resolve()), "data": str(data.resolve())}
        )
        accuracy = json.loads((folder / name / "summary.json").read_text())["methods"]["none"]["mean"]
        console.print(f"Teacher {name} ({', '.join(classes)}): {100 * accuracy:.1f} % of its own test images")
    (folder / "teachers.yaml").write_text(json.dumps(teachers))

    rankings: list[Ranking] = []
    summaries: list[dict] = []
    for task, classes in TASKS.items():
        data = subset(folder / "data", f"task-{task}", sources, classes, slice(0, PER_CLASS))
        rank = Rank(
            data=str(data), teachers=str(folder / "teachers.yaml"), label_cost=words, out=str(folder / f"rank-{task}")
        )
        rankings.append(rank_teachers(rank))
        console.print(f"\n{task} ({', '.join(classes)}): {rankings[-1].recommendation}", highlight=False)
        specs = [spec_of(teacher["model"]) for teacher in teachers]
        methods: list = ["none"]
        for loss in LOSSES:
            for name, known_as in zip(TEACHERS, teacher_names(specs), strict=True):
                term = {**loss, "teacher": f"{known_as}:"}
                methods.append({"name": f"{loss['loss']} from {name}", "terms": [term]})
        study = Study(
            data=str(data),
            student="cnn@width=32",
            teacher=",".join(specs),
            methods=methods,
            label_cost=words,
            seeds=options.seeds,
            epochs=options.epochs,
            batch_size=40,
            lr=0.05,
            out=str(folder / task),
            **common,
        )
        run_study(study, quiet)
        summaries.append(json.loads((folder / task / "summary.json").read_text())["methods"])
        for method, found in summaries[-1].items():
            gain = "" if found["difference"] is None else f" ({100 * found['difference']['mean']:+.1f})"
            console.print(f"  {method}: {100 * found['mean']:.1f}{gain}", highlight=False)
    report(rankings, summaries, folder)


def report(rankings: list[Ranking], summaries: list[dict], folder: Path) -> None:
    """Agreement of every score with what was reached, and what the first teacher gave: printed and kept."""
    lines: list[str] = []
    names = list(TEACHERS)
    for loss in (term["loss"] for term in LOSSES):
        reached = np.array([[summary[f"{loss} from {name}"]["mean"] for name in names] for summary in summaries])
        lines += [f"\n{loss}: agreement of scores with the accuracy it reaches\n"]
        lines += table("score", "weighted tau", "95 % interval", "Pearson", "95 % interval", "seconds a teacher")
        for score in rankings[0].scores:
            values = np.array([[r.teacher(n).scores.get(score, np.nan) for n in names] for r in rankings])
            found = agreement(values, reached)
            seconds = np.mean([r.teacher(n).score_seconds.get(score, np.nan) for r in rankings for n in names])
            lines += row(
                score,
                f"{found.tau:.2f}",
                "{:.2f} to {:.2f}".format(*found.tau_interval),
                f"{found.pearson:.2f}",
                "{:.2f} to {:.2f}".format(*found.pearson_interval),
                f"{seconds:.2f}",
            )
        lines += [""]
        lines += table("task", "alone", "best by transport", "to alone", "95 % interval", "best of all", "mean of all")
        for task, ranking, summary, own in zip(TASKS, rankings, summaries, reached, strict=True):
            first = ranking.order[0]
            chosen = summary[f"{loss} from {first}"]
            lines += row(
                task,
                f"{100 * summary['none']['mean']:.1f}",
                f"{first} {100 * chosen['mean']:.1f}",
                f"{100 * chosen['difference']['mean']:+.1f}",
                " to ".join(f"{100 * bound:+.1f}" for bound in chosen["difference"]["interval"] or ()),
                f"{names[int(own.argmax())]} {100 * own.max():.1f}",
                f"{100 * own.mean():.1f}",
            )
    text = "\n".join(lines)
    print(text)
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")


def table(*headings: str) -> list[str]:
    return row(*headings) + row(*["---"] * len(headings))


def row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


if __name__ == "__main__":
    main()
