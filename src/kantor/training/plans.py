"""Records of how the student's neurons lie to the teacher's, epoch by epoch, on a fixed probe set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16, Int16, UInt16
from numpy.typing import NDArray
from torch import Tensor

from kantor.capture import capture
from kantor.core.files import write_with
from kantor.data import Augment, Loader, Part
from kantor.losses.features import pool
from kantor.losses.neuron_transport import neuron_moments
from kantor.losses.slow_plan import SolveSettings
from kantor.objective import Objective, Read, Teacher
from kantor.objective.teachers import inner
from kantor.ot.moments import Moments, cost_from

LARGEST = 512
"""Wider layers are binned to at most this many rows and columns."""
PARTNERS = 3
"""Strongest partners that are kept of each unit of a binned plan."""
EXCITING = 6
"""Samples that are kept of each unit."""


@dataclass(frozen=True)
class Pair:
    """Two layers whose plan is recorded."""

    student: str
    teacher: str
    """Module path in the teacher's network."""
    source: str
    """The teacher's name."""


@dataclass(frozen=True)
class Probe:
    """The samples and pairs that plans are recorded on. The same for every method and seed of a study."""

    part: Part
    pairs: Sequence[Pair]
    teachers: dict[str, Teacher]
    batch_size: int = 256


def record_plans(path: Path, objective: Objective, probe: Probe, device: torch.device) -> None:
    """Write plan, cost and layer names of every pair to ``path``, as npz, atomically.

    Arrays, for pair k: ``plan_k [teacher, student]`` (sums to 1), ``cost_k`` (one minus correlation, pooled layers),
    ``student_layer_k``, ``teacher_layer_k``, ``widths_k`` (before binning). Plans are sharp Sinkhorn plans
    (epsilon .02 of the mean cost) between uniform masses, whatever the method trains with. Of a binned plan, for every
    single unit on SIDE ``teacher`` and ``student``: ``SIDE_partners_k [width, 3]`` (numbers of its strongest partners)
    and ``SIDE_shares_k`` (of its mass that they get). Of every unit: ``SIDE_exciting_k [width, 6]``, the positions in
    the probe of the samples that excite it most, best first; -1 for a unit that no sample excites more than another.
    """
    arrays: dict[str, NDArray] = {}
    for index, (pair, seen) in enumerate(zip(probe.pairs, _seen(objective, probe, device), strict=True)):
        cost = cost_from(seen.statistics, "correlation")
        plan = SolveSettings()(cost).plan
        arrays[f"plan_{index}"] = _binned(plan, total=True)
        arrays[f"cost_{index}"] = _binned(cost, total=False)
        arrays[f"student_layer_{index}"] = np.array(pair.student)
        arrays[f"teacher_layer_{index}"] = np.array(f"{pair.source}:{pair.teacher}")
        arrays[f"widths_{index}"] = np.array(cost.shape)
        for side, masses, excitement in (("teacher", plan, seen.teacher), ("student", plan.mT, seen.student)):
            if max(cost.shape) > LARGEST:
                arrays[f"{side}_partners_{index}"], arrays[f"{side}_shares_{index}"] = _partners(masses)
            arrays[f"{side}_exciting_{index}"] = _exciting(torch.cat(excitement))
    # pyright takes the names for savez's own keyword; they are array names.
    write_with(path, lambda file: np.savez_compressed(file, **arrays))  # pyright: ignore[reportArgumentType]


@dataclass
class _Seen:
    """What the probe shows of a pair."""

    statistics: Moments
    teacher: list[Float[Tensor, "batch teacher"]]
    """Each unit's activation, pooled, batch by batch."""
    student: list[Float[Tensor, "batch student"]]


@torch.no_grad()
def _seen(objective: Objective, probe: Probe, device: torch.device) -> list[_Seen]:
    student = objective.student
    training = student.training
    student.eval()
    found: list[_Seen] = []
    layers = sorted({pair.student for pair in probe.pairs})
    loader = Loader(probe.part, probe.batch_size, seed=0, augment=Augment.named("none"), shuffle=False, drop_last=False)
    for cpu_batch in loader.epoch(0):
        batch = cpu_batch.to(device)
        with capture(inner(student), layers) as taken:
            student(batch.inputs["student"])
        for index, pair in enumerate(probe.pairs):
            read = Read(pair.teacher, pooled=True)
            ours, theirs = taken[pair.student], probe.teachers[pair.source].outputs(batch, [read])[read]
            part = neuron_moments(ours, theirs, "correlation", "pooled")
            if index < len(found):
                found[index].statistics += part
            else:
                found.append(_Seen(part, [], []))
            found[index].teacher.append(pool(theirs).float())
            found[index].student.append(pool(ours).float())
    student.train(training)
    return found


def _partners(plan: Float[Tensor, "n m"]) -> tuple[UInt16[np.ndarray, "n k"], Float16[np.ndarray, "n k"]]:
    share, partner = (plan / plan.sum(1, keepdim=True)).sort(dim=1, descending=True, stable=True)
    kept = min(PARTNERS, plan.shape[1])
    return partner[:, :kept].cpu().numpy().astype(np.uint16), share[:, :kept].cpu().numpy().astype(np.float16)


def _exciting(activations: Float[Tensor, "samples width"]) -> Int16[np.ndarray, "width k"]:
    order = activations.argsort(dim=0, descending=True, stable=True)[:EXCITING].T
    silent = activations.amax(0) == activations.amin(0)
    return order.masked_fill(silent.unsqueeze(1), -1).cpu().numpy().astype(np.int16)


def _binned(matrix: Float[Tensor, "n m"], total: bool) -> Float[np.ndarray, "bins_n bins_m"]:
    for dim in (0, 1):
        size = matrix.shape[dim]
        if size > LARGEST:
            bins = torch.arange(size, device=matrix.device) * LARGEST // size
            shape = [LARGEST if d == dim else matrix.shape[d] for d in (0, 1)]
            summed = matrix.new_zeros(shape).index_add_(dim, bins, matrix)
            counts = torch.bincount(bins, minlength=LARGEST).to(matrix).unsqueeze(1 - dim)
            matrix = summed if total else summed / counts
    return matrix.float().cpu().numpy()
