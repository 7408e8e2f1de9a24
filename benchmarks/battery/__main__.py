"""Are the defaults safe with networks that nobody here made? Every method at its defaults, on every case.

    python -P benchmarks/battery run [--jobs 2]    # hours; goes on where it was stopped
    python -P benchmarks/battery page              # docs/defaults.md from the results

The case ``mnist-public`` needs files that ``public.py`` makes of two public repositories; without them it is left out.
``run`` trains each case's teacher once and then five students a method, each seed with a draw of labels of its own,
under two policies: the defaults, and, for two of the seeds, the fixed weights without clipping that were the defaults
before. What is done goes into ``docs/results/battery.json`` at once, and is not run again, also where the runs
themselves are gone. Results of other defaults than today's are dropped.
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
from battery.public import DIGITS, FOLDER  # noqa: E402
from battery.records import Results, Students, read_results, write_results  # noqa: E402

ROOT = HERE.parents[1]
SHARED = ROOT.parent / "shared" / "data"
RUNS = ROOT / "runs" / "battery"
RESULTS = ROOT / "docs" / "results" / "battery.json"
DIVERGED = "diverged.txt"
"""In a run's folder, where not all of its students could be trained to the end."""
POLICIES: dict[str, dict[str, Any]] = {"defaults": {}, "fixed": {"limit": None, "clip": None}}
TRANSFERS = ["none", "kd", "neuron_transport", "kd+neuron_transport"]
METHODS = {"defaults": [*TRANSFERS, "wcord", "label_transport"], "fixed": TRANSFERS}
FIXED_SEEDS = 2


def policies(seed: int) -> list[str]:
    """Under which policies a seed is run."""
    return ["defaults", "fixed"] if seed < FIXED_SEEDS else ["defaults"]


def spec(model: str) -> str:
    """``@Perceptron`` stands for the battery's own network of that name."""
    return f"battery.networks:{model[1:]}" if model.startswith("@") else model


def lacking(known: Results, case: Case, policy: str, seed: int) -> list[str]:
    """The methods of which a case's seed is not known yet."""
    held = known.get(case.name, {}).get(policy, {}).get(str(seed), {})
    return [m for m in METHODS[policy] if m not in held and (case.same_classes or "kd" not in m)]


def run(case: Case, seed: int, known: Results) -> None:
    """Train the teacher, then one seed's students under every policy, of the methods of which nothing is known."""
    from rich.console import Console

    from kantor.core.errors import KantorError
    from kantor.study import Study, run_study
    from kantor.training import Interrupted

    quiet = Console(quiet=True)
    arrays = sets(SHARED)
    if case.teacher_file is not None:
        file = next(folder / case.teacher_file for folder in (SHARED, FOLDER) if (folder / case.teacher_file).exists())
        teacher = f"{spec(case.teacher)}:{file}"
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
    for policy in policies(seed):
        out = RUNS / case.name / f"{policy}-{seed}"
        methods = lacking(known, case, policy, seed)
        if not methods or done(out):
            continue
        try:
            run_study(
                Study(
                    data=str(data), student=spec(case.student), teacher=teacher, methods=",".join(methods),
                    seeds=[seed], out=str(out), jobs=1, threads=1, label_cost="learned", unfit="skip",
                    record_plans="every=0", validation=0.0, **case.settings, **POLICIES[policy],
                ),
                quiet,
            )  # fmt: skip
        except Interrupted:
            raise
        except KantorError as error:  # a student that diverged is a result
            (out / DIVERGED).write_text(str(error), encoding="utf-8")
            print(f"{case.name} {policy} seed {seed}: {error}", flush=True)
    print(f"{case.name}: seed {seed} is done", flush=True)


def gather(results: Results) -> Results:
    """What is known, and what folders of runs add to it."""
    for case in CASES:
        for seed in SEEDS:
            for policy in policies(seed):
                folder = RUNS / case.name / f"{policy}-{seed}"
                if done(folder):
                    held = results.setdefault(case.name, {}).setdefault(policy, {})
                    held[str(seed)] = held.get(str(seed), {}) | students(folder)
    return results


def students(folder: Path) -> Students:
    """What became of a run's students, by method."""
    methods = json.loads((folder / "step0.json").read_text())["methods"]
    kept = {method: result(folder, method) for method in methods}
    return {
        method: {"accuracy": one.get("accuracy"), "collapsed": not one or bool(one["collapse"])}
        for method, one in kept.items()
    }


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
    if given.case is not None:
        run(next(case for case in CASES if case.name == given.case), given.seed, read_results(RESULTS))
        return
    results = gather(read_results(RESULTS))
    if given.command == "run":
        # Case after case, seed after seed, so that what is stopped early is of all cases.
        waiting = [
            (case.name, seed)
            for seed in SEEDS
            for case in CASES
            if (case.data != "mnist" or DIGITS.exists())  # what public.py makes
            and any(lacking(results, case, policy, seed) for policy in policies(seed))
        ]
        with ThreadPoolExecutor(given.jobs) as pool:
            for _ in pool.map(started, waiting):
                write_results(RESULTS, gather(results))
    write_results(RESULTS, results)
    write_page(results, ROOT / "docs" / "defaults.md")


def started(one: tuple[str, int]) -> None:
    """Run one case and seed in a process of its own."""
    case, seed = one
    subprocess.run([sys.executable, "-P", str(HERE), "run", "--case", case, "--seed", str(seed)], check=False)


if __name__ == "__main__":
    main()
