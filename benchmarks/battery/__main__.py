"""Are the defaults safe with networks that nobody here made? Every method at its defaults, on every case.

    python -P benchmarks/battery run [--jobs 2]    # hours; goes on where it was stopped
    python -P benchmarks/battery page              # docs/defaults.md from the results

``run`` trains each case's teacher once and then five students a method, each seed with a draw of labels of its own,
under two policies: the defaults, and the fixed weights without clipping that were the defaults before.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))  # at the end: benchmarks/ot.py must not stand before POT's ot

from battery.cases import CASES, SEEDS, Case  # noqa: E402
from battery.data import sets, write_split  # noqa: E402
from battery.page import write_page  # noqa: E402

ROOT = HERE.parents[1]
SHARED = ROOT.parent / "shared" / "data"
RUNS = ROOT / "runs" / "battery"
RESULTS = ROOT / "docs" / "results" / "battery.json"
DIVERGED = "diverged.txt"
"""In a run's folder, where not all of its students could be trained to the end."""
POLICIES = {"defaults": {}, "fixed": {"limit": None, "clip": None}}
TRANSFERS = ["none", "kd", "neuron_transport", "kd+neuron_transport"]
METHODS = {"defaults": [*TRANSFERS, "wcord", "label_transport"], "fixed": TRANSFERS}


def spec(model: str) -> str:
    """``@Perceptron`` stands for the battery's own network of that name."""
    return f"battery.networks:{model[1:]}" if model.startswith("@") else model


def run(case: Case, seed: int) -> None:
    """Train the teacher, then one seed's students under every policy; whatever is finished is left as it is."""
    from rich.console import Console

    from kantor.core.errors import KantorError
    from kantor.study import Study, run_study
    from kantor.training import Interrupted

    quiet = Console(quiet=True)
    arrays = sets(SHARED)
    if case.teacher_file is not None:
        teacher = f"{spec(case.teacher)}:{SHARED / case.teacher_file}"
    else:
        name = case.teacher_data or case.data
        whole = write_split(arrays[name], RUNS / "data" / f"{name}.npz", None, 0)
        out = RUNS / case.name / "teacher"
        settings = case.teacher_settings | {"jobs": 1, "threads": 1}
        run_study(
            Study(data=str(whole), student=spec(case.teacher), methods="none", seeds=1, out=str(out), **settings), quiet
        )
        teacher = f"{spec(case.teacher)}:{out / 'none' / 'seed-0' / 'student.safetensors'}"
    data = write_split(arrays[case.data], RUNS / "data" / f"{case.data}-{case.labels}-{seed}.npz", case.labels, seed)
    for policy, settings in POLICIES.items():
        out = RUNS / case.name / f"{policy}-{seed}"
        if done(out):
            continue
        methods = [method for method in METHODS[policy] if case.same_classes or "kd" not in method]
        try:
            run_study(
                Study(
                    data=str(data), student=spec(case.student), teacher=teacher, methods=",".join(methods),
                    seeds=[seed], out=str(out), jobs=1, threads=1, label_cost="learned", unfit="skip", cache="off",
                    record_plans="every=0", validation=0.0, **case.settings, **settings,
                ),
                quiet,
            )  # fmt: skip
        except Interrupted:
            raise
        except KantorError as error:  # a student that diverged is a result
            (out / DIVERGED).write_text(str(error), encoding="utf-8")
            print(f"{case.name} {policy} seed {seed}: {error}", flush=True)
    print(f"{case.name}: seed {seed} is done", flush=True)


def gather() -> dict[str, dict[str, dict[str, dict[str, list[float | None]]]]]:
    """By case, policy and method: ``accuracy`` by seed (None where the student diverged), and who ``collapsed``."""
    found: dict[str, dict[str, dict[str, dict[str, list[float | None]]]]] = {}
    for case in CASES:
        for policy in POLICIES:
            folders = {seed: RUNS / case.name / f"{policy}-{seed}" for seed in finished(case)}
            if not folders:
                continue
            methods = json.loads((next(iter(folders.values())) / "step0.json").read_text())["methods"]
            rows = found.setdefault(case.name, {}).setdefault(policy, {})
            for method in methods:
                kept = [result(folder, method) for folder in folders.values()]
                rows[method] = {
                    "accuracy": [one.get("accuracy") for one in kept],
                    "collapsed": [seed for seed, one in zip(folders, kept, strict=True) if not one or one["collapse"]],
                }
    return found


def finished(case: Case) -> list[int]:
    """Seeds that are done under every policy."""
    return [seed for seed in SEEDS if all(done(RUNS / case.name / f"{policy}-{seed}") for policy in POLICIES)]


def done(out: Path) -> bool:
    """Every student of a run is trained, or has diverged."""
    summary = out / "summary.json"
    return (out / DIVERGED).exists() or (summary.exists() and json.loads(summary.read_text())["complete"])


def result(folder: Path, method: str) -> dict[str, Any]:
    """``result.json`` of one student; empty where it diverged."""
    (path,) = [*folder.glob(f"{method}/seed-*/result.json")] or [None]
    return {} if path is None else json.loads(path.read_text())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "page"])
    parser.add_argument("--case", help="one case and seed, in this process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="cases at once")
    given = parser.parse_args()
    if given.command == "page":
        RESULTS.write_text(json.dumps(gather(), indent=1) + "\n", encoding="utf-8")
        write_page(json.loads(RESULTS.read_text(encoding="utf-8")), ROOT / "docs" / "defaults.md")
    elif given.case is not None:
        run(next(case for case in CASES if case.name == given.case), given.seed)
    else:
        # Case after case, seed after seed, so that what is stopped early is of all cases.
        waiting = [(case.name, seed) for seed in SEEDS for case in CASES if seed not in finished(case)]
        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(started, waiting))


def started(one: tuple[str, int]) -> None:
    """Run one case and seed in a process of its own."""
    case, seed = one
    subprocess.run([sys.executable, "-P", str(HERE), "run", "--case", case, "--seed", str(seed)], check=False)


if __name__ == "__main__":
    main()
