"""Does the ranking pick the teacher that helps, and does label_transport? Eight teachers, three tasks, few labels.

Small residual networks are trained on class subsets of CIFAR-10 and of twenty classes of Tiny-ImageNet. Each of three
tasks has 20 labelled images of each of its classes, none of which a teacher saw. ``kantor rank`` scores the teachers on
these images. Every method's settings are chosen on validation images with seeds of their own, from the same number of
trials (``trials.py``). Then, with fresh seeds, a student learns from the teacher ranked first with every method, and
from each of the others with label_transport and with neuron_transport. ``--unlabelled N`` shows every method but the
student alone N further images of each class without their labels, which no teacher saw either; with ``--wide`` there
are twelve teachers and five tasks. From the checkout's root, with the data folder that has ``cifar10/``,
``tiny_imagenet_20.zip`` and ``glove/``:

    python examples/faculty/faculty.py --data ../shared/data --out runs/faculty
    python examples/faculty/page.py keep runs/faculty        # results.json and RESULTS.md, from the run's files

It goes on where it was stopped. What it found is in ``RESULTS.md`` beside this file, and with images without labels in
``RESULTS-unlabelled.md`` (``page.py keep RUN unlabelled``), and with more teachers and tasks in ``RESULTS-wide.md``.
"""

import argparse
import sys
from pathlib import Path

from teachers import TASKS, labelled_data, open_sources, taking_part, task_data, train_teachers
from trials import LABEL, NEURON, Bench

from kantor.core.files import write_json
from kantor.faculty import Rank, Ranking, rank_teachers

SEEDS = [100, 101, 102, 103, 104]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/faculty"))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--tune-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--teacher-epochs", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--unlabelled", type=int, default=0, help="images of each class that come without labels")
    parser.add_argument("--wide", action="store_true", help="twelve teachers and five tasks")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    folder: Path = options.out
    sources = open_sources(options.data)
    words = f"glove:{options.data / 'glove' / 'glove_twitter_25d.npz'}"
    names, tasks = taking_part(wide=options.wide)
    trained = train_teachers(folder, sources, names, options.teacher_epochs, options.unlabelled)
    teachers = {entry["name"]: entry["model"] for entry in trained}
    write_json(folder / "run.json", {"arguments": sys.argv[1:]})

    bench = Bench(folder, teachers, words, options.epochs, options.jobs, options.tune_seeds, options.unlabelled > 0)
    chosen = {}
    for task in tasks:
        data = labelled_data(task_data(folder / "data", task, sources, options.unlabelled))
        out = folder / f"rank-{task}"
        if not (out / "ranking.json").exists():
            rank_teachers(Rank(data=str(data), teachers=str(folder / "teachers.yaml"), label_cost=words, out=str(out)))
        ranking = Ranking.read(out / "ranking.json")
        print(f"{task} ({', '.join(TASKS[task])}): {ranking.recommendation}", flush=True)
        chosen[task] = bench.choose(task, ranking.order[0])
        write_json(folder / f"chosen-{task}.json", chosen[task])
    for task in tasks:  # what the targets ask for first
        methods = {"none": None} | {name: found["chosen"] for name, found in chosen[task]["methods"].items()}
        compare(bench, task, chosen[task]["teacher"], methods, chosen[task]["training"], options.seeds)
    for task in tasks:
        methods = {loss: chosen[task]["methods"][loss]["chosen"] for loss in (LABEL, NEURON)}
        for teacher in names:
            if teacher != chosen[task]["teacher"]:
                compare(bench, task, teacher, methods, chosen[task]["training"], options.seeds)


def compare(bench: Bench, task: str, teacher: str, methods: dict, training: dict, seeds: list[int]) -> None:
    """Train with the chosen settings; a study for each label cost."""
    costs = {name: bench.words if found is None else found["cost"] for name, found in methods.items()}
    for cost in dict.fromkeys(costs.values()):
        these = [
            name if methods[name] is None else {"name": name, "terms": methods[name]["terms"]}
            for name in methods
            if costs[name] == cost
        ]
        out = bench.folder / "studies" / task / f"final-{teacher}-{cost.partition(':')[0]}"
        bench.study(out, task, teacher, cost, these, seeds, training)


if __name__ == "__main__":
    main()
