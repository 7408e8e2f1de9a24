"""Time and memory of a training step with each loss, over the step with plain KD and without transfer.

    python benchmarks/step_overhead.py [--methods lckt,wcord] [--pairs 30] [--out FILE.json]

The teacher's outputs are read from memory, as from a cache. Each method has a process of its own with one thread, in
which steps of ``none``, ``kd`` and the method take turns; times are CPU seconds, medians over the turns. Memory is
the process's peak in the method's steps over that in steps of ``none`` (Linux; the teacher's outputs are in both).
A file that is there already keeps its rows of other methods.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from kantor import load
from kantor.core.errors import ConfigError, ShapeError
from kantor.data import Augment, Batch, Loader, open_data
from kantor.losses import LOSSES
from kantor.objective import LiveTeacher, Objective, Read
from kantor.study.settings.methods import parse_methods

DATA = "../shared/data/cifar10"
TEACHER = "resnet56:../shared/data/cifar10_resnets/resnet56.safetensors"
# Of student and method: the largest share over KD.
TARGETS = {
    ("resnet8", "neuron_transport"): 0.02,
    ("resnet8", "lckt"): 0.02,
    ("resnet8", "neuron_transport@spatial=positions"): 0.05,
    ("resnet8", "wcord"): 0.25,
    ("resnet20", "wcord"): 0.08,
}
WARM = 3
"""Steps before the clock: allocations, memories, first plans."""


class Kept(LiveTeacher):
    """A teacher whose outputs stay in memory once they were asked for; a batch is known by its first id."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__(network)
        self.rows: dict[tuple[int, Read], torch.Tensor] = {}

    def outputs(self, batch: Batch, reads: Sequence[Read]) -> dict[Read, torch.Tensor]:
        assert batch.ids is not None
        first = int(batch.ids[0])
        missing = [read for read in reads if (first, read) not in self.rows]
        if missing:
            self.rows |= {(first, read): x for read, x in super().outputs(batch, missing).items()}
        return {read: self.rows[first, read] for read in reads}


class Steps:
    """One method's training, a step at a time."""

    def __init__(self, method: str, student: str, teacher: Kept, batches: list[Batch], samples: int) -> None:
        torch.manual_seed(0)
        (parsed,) = parse_methods(method)
        terms = [term.fresh() for term in parsed.terms]
        self.objective = Objective(
            load(student, classes=10, input_shape=(3, 32, 32)),
            {"teacher": teacher} if terms else {},
            terms,
            task_weight=parsed.task,
            samples=samples,
        )
        self.objective.check(batches[0], quiet=True)
        self.objective.train()
        self.optimizer = torch.optim.SGD(self.objective.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        self.batches = batches
        self.done = 0
        if terms:
            for batch in batches:  # the teacher's forward passes are not the step's
                teacher.outputs(batch, self.objective.reads("teacher"))

    def step(self) -> float:
        """Take it; CPU seconds."""
        batch = self.batches[self.done % len(self.batches)]
        self.done += 1
        start = time.process_time()
        self.objective(batch).loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.objective.after_step()
        return time.process_time() - start

    def steps(self, number: int = 4) -> None:
        """Take several."""
        for _ in range(number):
            self.step()


def peak_of(call: Callable[[], None]) -> int:
    """Bytes this process holds at most while ``call`` runs. Linux counts and resets that."""
    Path("/proc/self/clear_refs").write_text("5")
    call()
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def measure(method: str, student: str, data: str, teacher: str, pairs: int) -> dict[str, Any]:
    """In a process of its own: seconds of a step with ``none``, ``kd`` and ``method``, and what memory it adds."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    part = open_data(data, train_limit=1024).train
    batches = list(Loader(part, 128, seed=0, augment=Augment.named("none")).epoch(0))
    source = Kept(load(teacher))
    none = Steps("none", student, source, batches, part.samples)
    kd = Steps("kd", student, source, batches, part.samples)
    try:
        ours = Steps(method, student, source, batches, part.samples)
    except (ConfigError, ShapeError) as error:
        return {"student": student, "method": method, "left_out": str(error)}
    kd.steps(WARM)
    ours.steps(WARM)
    none.steps(WARM)
    peaks = [peak_of(who.steps) for who in (none, ours)]
    turns = [(none.step(), kd.step(), ours.step()) for _ in range(pairs)]
    alone, distilled, mine = (statistics.median(column) for column in zip(*turns, strict=True))
    return {
        "student": student,
        "method": method,
        "none_ms": 1e3 * alone,
        "kd_ms": 1e3 * distilled,
        "ms": 1e3 * mine,
        # Of differences within a turn, which share whatever else the machine was doing.
        "over_none": statistics.median(m - a for a, _, m in turns) / alone,
        "over_kd": statistics.median(m - k for _, k, m in turns) / distilled,
        "extra_mb": (peaks[1] - peaks[0]) / 1e6,
        "target": TARGETS.get((student, method)),
        "pairs": pairs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    others = {"kd", "label_transport"} | {name for name, loss in LOSSES.items() if loss.reads == "sequence_logits"}
    every = [name for name in LOSSES if name not in others]
    parser.add_argument("--methods", default="kd,neuron_transport@spatial=positions," + ",".join(every))
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--teacher", default=TEACHER)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    cells = [("resnet8", method) for method in options.methods.split(",")]
    cells += [cell for cell in TARGETS if cell[0] != "resnet8" and cell[1] in options.methods.split(",")]
    rows = []
    print(f"{'student':10} {'method':34} {'ms':>7} {'over none':>10} {'over kd':>9} {'target':>7} {'MB':>7}")
    for student, method in cells:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = pool.apply(measure, (method, student, options.data, options.teacher, options.pairs))
        rows.append(row)
        if "left_out" in row:
            print(f"{student:10} {method:34} left out: {row['left_out']}", flush=True)
            continue
        target = "" if row["target"] is None else f"{100 * row['target']:.0f} %"
        print(
            f"{student:10} {method:34} {row['ms']:7.1f} {100 * row['over_none']:+9.1f}% {100 * row['over_kd']:+8.1f}% "
            f"{target:>7} {row['extra_mb']:7.1f}",
            flush=True,
        )
    if options.out is not None:
        if options.out.exists():
            measured = {(row["student"], row["method"]): row for row in rows}
            earlier = json.loads(options.out.read_text(encoding="utf-8"))["rows"]
            rows = [measured.pop((row["student"], row["method"]), row) for row in earlier] + list(measured.values())
        content = {"torch": torch.__version__, "rows": rows}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
