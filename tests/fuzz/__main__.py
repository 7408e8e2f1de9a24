"""Bad input, thousands of times: what does kantor do with it?

    python tests/fuzz [--count 10000] [--seed 0] [--jobs 2] [--only NUMBER] [--family NAME]

Every input is drawn from (seed, its number) alone, so that ``--only NUMBER`` tries one again, and shows what it was.
Inputs are tried in this process's children, each with an alarm; code that a file or name asked for would leave a file
behind. Ends with 1 where an input led to a traceback, a hang, or code that was run.
"""

import argparse
import faulthandler
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

SECONDS = 30.0
"""An input may take; twice that, and the process that tries it is ended."""


def main() -> int:
    """Try them, print the table, and say whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", type=int, help="one input, shown whole")
    parser.add_argument("--family", help="inputs of one kind alone")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        _work(options.seed, options.family, *options.worker)
        return 0
    with tempfile.TemporaryDirectory(prefix="kantor-fuzz-") as name:
        top = Path(name).resolve()
        numbers = [options.only] if options.only is not None else list(range(options.count))
        shares = [numbers[k :: options.jobs] for k in range(options.jobs) if numbers[k :: options.jobs]]
        _worker(options, top, "build", []).wait()
        results = _tried(options, top, shares)
    return _told(results, options)


def _tried(options: argparse.Namespace, top: Path, shares: list[list[int]]) -> list[dict[str, object]]:
    """What became of every number; one at which a worker died is a fault of its own, and the next begins after it."""
    left = dict(enumerate(shares))
    running = {k: _worker(options, top, str(k), share) for k, share in left.items()}
    while running:
        for k, worker in list(running.items()):
            worker.wait()
            done = _results(top / f"{k}.jsonl")
            left[k] = left[k][len(done) :]
            if worker.returncode == 0 or not left[k]:
                del running[k]
                continue
            died = {
                "number": left[k].pop(0),
                "family": "?",
                "kind": "hang",
                "said": f"the process ended, {worker.returncode}",
            }
            started = json.loads((top / f"{k}.now").read_text())
            with (top / f"{k}.jsonl").open("a") as file:
                file.write(json.dumps({**died, **started}) + "\n")
            (top / f"{k}.done").open("a").write((top / f"{k}.jsonl").read_text())
            (top / f"{k}.jsonl").unlink()
            running[k] = _worker(options, top, str(k), left[k])
    return [result for k in left for end in ("done", "jsonl") for result in _results(top / f"{k}.{end}")]


def _results(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _worker(options: argparse.Namespace, top: Path, name: str, numbers: list[int]) -> subprocess.Popen[bytes]:
    here = ["--seed", str(options.seed), *(["--family", options.family] if options.family else [])]
    (top / f"{name}.numbers").write_text(json.dumps(numbers))
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HOME": str(top),
        "XDG_STATE_HOME": str(top / "state"),
        "XDG_CACHE_HOME": str(top / "cache"),
        "COLUMNS": "120",
        "HF_HUB_OFFLINE": "1",
    }
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).parent), *here, "--worker", str(top), name, f"{name}.numbers"],
        env=environment,
    )


def _work(seed: int, family: str | None, folder: str, name: str, numbers: str) -> None:
    sys.modules["numba"] = None  # type: ignore[assignment]  # compiling takes longer than a hang, at its first use
    import torch
    from families import FAMILIES
    from outcome import watched
    from world import build

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    top = Path(folder)
    world = top / "world"
    if name == "build":
        world.mkdir()
        os.chdir(world)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        build(world)
        return
    kinds = [family] if family else [kind for kind, (share, _) in FAMILIES.items() for _ in range(share)]
    with (top / f"{name}.jsonl").open("a") as file:
        for number in json.loads((top / numbers).read_text()):
            rng = random.Random(f"{seed}/{number}")
            kind = rng.choice(kinds)
            place = top / f"try-{name}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            os.chdir(place)
            tried = FAMILIES[kind][1](rng, place, world)
            (top / f"{name}.now").write_text(json.dumps({"family": kind, "shown": tried.shown}))
            faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
            outcome = watched(tried.call, place / "SENTINEL", SECONDS)
            faulthandler.cancel_dump_traceback_later()
            told = {"number": number, "family": kind, "kind": outcome.kind, "said": outcome.said, "shown": tried.shown}
            file.write(json.dumps(told) + "\n")
            file.flush()


def _told(results: list[dict[str, object]], options: argparse.Namespace) -> int:
    from outcome import FAULTS, OUTCOMES

    counts = Counter((str(result["family"]), str(result["kind"])) for result in results)
    families = sorted({family for family, _ in counts})
    print(f"{'family':12}" + "".join(f"{kind:>16}" for kind in OUTCOMES))
    for family in [*families, "all"]:
        row = [sum(n for (f, k), n in counts.items() if k == kind and family in (f, "all")) for kind in OUTCOMES]
        print(f"{family:12}" + "".join(f"{number:>16}" for number in row))
    faults = [result for result in results if result["kind"] in FAULTS]
    more = f" --family {options.family}" if options.family else ""
    for fault in faults:
        print(f"{fault['kind']}: {fault['said']}")
        again = f"python tests/fuzz --seed {options.seed}{more} --only {fault['number']}"
        print(f"    {again}    # {fault.get('shown', '')!s:.160}")
    if options.only is not None:
        print(json.dumps(results, indent=2))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
