"""Records of how the student's neurons lie to the teacher's, epoch by epoch, on a fixed samples set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int16, UInt8
from numpy.typing import NDArray
from torch import Tensor

from kantor.capture import read
from kantor.core.files import write_with
from kantor.core.modes import as_evaluated
from kantor.data import Augment, Loader, Part
from kantor.losses.features import pool, pool_without_padding
from kantor.losses.neuron_transport import neuron_moments
from kantor.losses.slow_plan import SolveSettings
from kantor.objective import Objective, Read, Teacher
from kantor.ot.moments import Moments, cost_from
from kantor.ot.ordering import structured

LARGEST = 512
"""Of wider layers, plan and cost are binned to at most this many rows and columns; masses are kept whole in steps."""
DAMAGED = "Delete it: the other epochs are shown without it."
"""What to do with a record that cannot be read."""
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
class PlanSamples:
    """The samples and pairs that plans are recorded on. The same for every method and seed of a study."""

    part: Part
    pairs: Sequence[Pair]
    teachers: dict[str, Teacher]
    batch_size: int = 256


def record_plans(path: Path, objective: Objective, samples: PlanSamples, device: torch.device) -> None:
    """Write plan, cost and layer names of every pair to ``path``, as npz, atomically.

    Arrays, for pair k: ``plan_k [teacher, student]`` (sums to 1), ``cost_k`` (one minus correlation, pooled layers),
    ``student_layer_k``, ``teacher_layer_k``, ``widths_k`` (before binning). Plans are sharp Sinkhorn plans
    (epsilon .02 of the mean cost) between uniform masses, whatever the method trains with. Of every unit:
    ``SIDE_exciting_k [width, 6]``, on SIDE ``teacher`` and ``student`` the positions among the samples of those that
    excite it most, best first; -1 for a unit that no sample excites more than another.

    Bins are of unit numbers, which lie next to each other by chance. So of a binned plan there is more: ``masses_k``
    with every single unit, in steps (:func:`quantised` to its largest mass, ``largest_k``); ``rows_k`` and
    ``columns_k``, the order of units in which its structure shows; and ``paid_k``, the cost of the plan and that of the
    uniform plan.
    """
    arrays: dict[str, NDArray] = {}
    for index, (pair, seen) in enumerate(zip(samples.pairs, _seen(objective, samples, device), strict=True)):
        cost = cost_from(seen.statistics, "correlation")
        plan = SolveSettings()(cost).plan
        arrays[f"plan_{index}"] = _binned(plan, total=True)
        arrays[f"cost_{index}"] = _binned(cost, total=False)
        arrays[f"student_layer_{index}"] = np.array(pair.student)
        arrays[f"teacher_layer_{index}"] = np.array(f"{pair.source}:{pair.teacher}")
        arrays[f"widths_{index}"] = np.array(cost.shape)
        if max(cost.shape) > LARGEST:
            masses, costs = plan.float().cpu().numpy(), cost.float().cpu().numpy()
            arrays[f"largest_{index}"] = masses.max()
            arrays[f"masses_{index}"] = quantised(masses, float(masses.max()))
            arrays[f"rows_{index}"], arrays[f"columns_{index}"] = (
                order.astype(np.int32) for order in structured(masses, costs)
            )
            arrays[f"paid_{index}"] = np.array([(masses * costs).sum(), costs.mean()])
        arrays[f"teacher_exciting_{index}"] = _exciting(torch.cat(seen.teacher))
        arrays[f"student_exciting_{index}"] = _exciting(torch.cat(seen.student))
    # pyright takes the names for savez's own keyword; they are array names.
    write_with(path, lambda file: np.savez_compressed(file, **arrays))  # pyright: ignore[reportArgumentType]


def quantised(masses: Float[np.ndarray, "..."], scale: float) -> UInt8[np.ndarray, "..."]:
    """Masses as square roots of their share of ``scale``, in 255 steps: ``scale * (step / 255) ** 2`` reads them."""
    return (255 * np.sqrt(masses.clip(min=0) / scale)).round().astype(np.uint8)


@dataclass
class _Seen:
    """What the samples shows of a pair."""

    statistics: Moments
    teacher: list[Float[Tensor, "batch teacher"]]
    """Each unit's activation, pooled, batch by batch."""
    student: list[Float[Tensor, "batch student"]]


@torch.no_grad()
def _seen(objective: Objective, samples: PlanSamples, device: torch.device) -> list[_Seen]:
    student = objective.student
    found: list[_Seen] = []
    layers = sorted({pair.student for pair in samples.pairs})
    loader = Loader(
        samples.part, samples.batch_size, seed=0, augment=Augment.named("none"), shuffle=False, drop_last=False
    )
    for cpu_batch in loader.epoch(0):
        batch = cpu_batch.to(device)
        with as_evaluated(student):
            _, taken = read(student, batch.inputs["student"], layers, name="the student")
        for index, pair in enumerate(samples.pairs):
            wanted = Read(pair.teacher, pooled=True)
            ours = pool_without_padding(taken[pair.student], batch.inputs["student"], pair.student)
            theirs = pool(samples.teachers[pair.source].outputs(batch, [wanted])[wanted])
            part = neuron_moments(ours, theirs, "correlation", "pooled")
            if index < len(found):
                found[index].statistics += part
            else:
                found.append(_Seen(part, [], []))
            found[index].teacher.append(theirs.float())
            found[index].student.append(ours.float())
    return found


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
