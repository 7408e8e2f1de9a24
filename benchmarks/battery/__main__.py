"""Are the defaults safe with networks that nobody here made? Every method at its defaults, on every case.

    python -P benchmarks/battery run [--case NAME] [--jobs 2]     # hours; goes on where it was stopped
    python -P benchmarks/battery page                             # docs/defaults.md from the results

``run`` trains each case's teacher once and then five students a method, each seed with a draw of labels of its own,
under two policies: the defaults, and the fixed weights without clipping that were the defaults before.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))  # at the end: benchmarks/ot.py must not stand before POT's ot

from battery.cases import CASES, Case  # noqa: E402
from battery.data import sets, write_split  # noqa: E402
from battery.page import write_page  # noqa: E402

ROOT = HERE.parents[1]
SHARED = ROOT.parent / "shared" / "data"
RUNS = ROOT / "runs" / "battery"
RESULTS = ROOT / "docs" / "results" / "battery.json"
SEEDS = range(5)
POLICIES = {"defaults": {}, "fixed": {"limit": None, "clip": None}}
TRANSFERS = ["none", "kd", "neuron_transport", "kd+neuron_transport"]
METHODS = {"defaults": [*TRANSFERS, "wcord", "label_transport"], "fixed": TRANSFERS}


def spec(model: str) -> str:
    """``@Perceptron`` stands for the battery's own network of that name."""
    return f"battery.networks:{model[1:]}" if model.startswith("@") else model


def run(case: Case) -> None:
    """Train the teacher, then the students; whatever is finished is left as it is."""
    from rich.console import Console

    from kantor.core.errors import KantorError
    from kantor.study import Study, run_study

    quiet = Console(quiet=True)
    arrays = sets(SHARED)
    held = arrays[case.data]()
    if case.teacher_file is not None:
        teacher = f"{spec(case.teacher)}:{SHARED / case.teacher_file}"
    else:
        name = case.teacher_data or case.data
        whole = write_split(arrays[name](), RUNS / "data" / f"{name}.npz", None, 0)
        out = RUNS / case.name / "teacher"
        run_study(
            Study(
                data=str(whole), student=spec(case.teacher), methods="none", seeds=1, out=str(out), jobs=1, threads=1,
                **case.teacher_settings,
            ),
            quiet,
        )  # fmt: skip
        teacher = f"{spec(case.teacher)}:{out / 'none' / 'seed-0' / 'student.safetensors'}"
    for seed in SEEDS:
        data = write_split(held, RUNS / "data" / f"{case.data}-{case.labels}-{seed}.npz", case.labels, seed)
        for policy, settings in POLICIES.items():
            out = RUNS / case.name / f"{policy}-{seed}"
            if (out / "summary.json").exists() and json.loads((out / "summary.json").read_text())["complete"]:
                continue
            methods = [method for method in METHODS[policy] if case.same_classes or "kd" not in method]
            try:
                run_study(
                    Study(
                        data=str(data), student=spec(case.student), teacher=teacher, methods=",".join(methods),
                        seeds=[seed], out=str(out), jobs=1, threads=1, label_cost="learned", unfit="skip",
                        cache="off", record_plans="every=0", validation=0.0, **case.settings, **settings,
                    ),
                    quiet,
                )  # fmt: skip
            except KantorError as error:  # a student that diverged is a result
                print(f"{case.name} {policy} seed {seed}: {error}", flush=True)
        print(f"{case.name}: seed {seed} is done", flush=True)


def gather() -> dict[str, dict[str, dict[str, dict[str, list[float | None]]]]]:
    """By case, policy and method: ``accuracy`` by seed (None where the student diverged), and who ``collapsed``."""
    found: dict[str, dict[str, dict[str, dict[str, list[float | None]]]]] = {}
    for case in CASES:
        for policy in POLICIES:
            folders = [RUNS / case.name / f"{policy}-{seed}" for seed in SEEDS]
            if not all((folder / "summary.json").exists() for folder in folders):
                continue
            methods = json.loads((folders[0] / "step0.json").read_text())["methods"]
            rows = found.setdefault(case.name, {}).setdefault(policy, {})
            for method in methods:
                kept = [result(folder, method) for folder in folders]
                rows[method] = {
                    "accuracy": [one.get("accuracy") for one in kept],
                    "collapsed": [seed for seed, one in zip(SEEDS, kept, strict=True) if not one or one["collapse"]],
                }
    return found


def result(folder: Path, method: str) -> dict[str, Any]:
    """``result.json`` of one student; empty where it diverged."""
    (path,) = [*folder.glob(f"{method}/seed-*/result.json")] or [None]
    return {} if path is None else json.loads(path.read_text())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "page"])
    parser.add_argument("--case", help="one case, in this process")
    parser.add_argument("--jobs", type=int, default=2, help="cases at once")
    given = parser.parse_args()
    if given.command == "page":
        RESULTS.write_text(json.dumps(gather(), indent=1) + "\n", encoding="utf-8")
        write_page(json.loads(RESULTS.read_text(encoding="utf-8")), ROOT / "docs" / "defaults.md")
        return
    if given.case is not None:
        run(next(case for case in CASES if case.name == given.case))
        return
    waiting, running = [case.name for case in CASES], []
    while waiting or running:
        while waiting and len(running) < given.jobs:
            command = [sys.executable, "-P", str(HERE), "run", "--case", waiting.pop(0)]
            running.append(subprocess.Popen(command))
        running[0].wait()
        running = [process for process in running if process.poll() is None]


if __name__ == "__main__":
    main()
