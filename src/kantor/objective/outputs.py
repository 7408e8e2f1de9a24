"""One pass of the student and its teachers over a batch: what the bound terms read of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from kantor.capture import read
from kantor.capture.positions import LayerOutput, placed
from kantor.data import Batch
from kantor.data.views import role_of
from kantor.objective.teachers import Read, Teacher
from kantor.objective.terms import Bound


@dataclass(frozen=True)
class Networks:
    """The student and its teachers."""

    student: nn.Module
    teachers: Mapping[str, Teacher]
    frozen: Sequence[nn.Module]
    """Parts of the student that stay in eval mode."""


@dataclass(frozen=True)
class Outputs:
    """What they say of one batch."""

    batch: Batch
    logits: Float[Tensor, "batch ..."]
    """The student's."""
    student: dict[str, LayerOutput]
    """By layer."""
    teachers: dict[tuple[str, Read], LayerOutput]
    """By teacher and what was read."""


def outputs_of(networks: Networks, bound: Sequence[Bound], batch: Batch) -> Outputs:
    """Run the student once, and every teacher that a bound term reads.

    Raises:
        ConfigError, ShapeError: see :func:`kantor.capture.read`.
    """
    for module in networks.frozen:
        module.eval()  # whoever called train() meant the rest
    layers = sorted({layer for b in bound for layer in b.student_layers})
    seen = batch.inputs["student"]
    logits, taken = read(networks.student, seen, layers, name="the student")
    student = {layer: placed(x, seen, layer, batch.masks) for layer, x in taken.items()}
    return Outputs(batch, logits, student, teacher_outputs(networks.teachers, bound, batch))


def teacher_outputs(
    teachers: Mapping[str, Teacher], bound: Sequence[Bound], batch: Batch
) -> dict[tuple[str, Read], LayerOutput]:
    """What the bound terms read of the teachers."""
    outputs: dict[tuple[str, Read], LayerOutput] = {}
    for name, teacher in teachers.items():
        wanted = reads_of(bound, name)
        if wanted:
            seen = batch.inputs.get(role_of(name, batch.inputs))
            found = teacher.outputs(batch, wanted)
            outputs |= {(name, r): placed(x, seen, r.layer, batch.masks) for r, x in found.items()}
    return outputs


def reads_of(bound: Sequence[Bound], teacher: str) -> list[Read]:
    """What the bound terms want of one teacher, without repeats."""
    wanted = {Read(layer, b.pooled) for b in bound if b.teacher == teacher for layer in b.teacher_layers}
    return sorted(wanted, key=lambda read: read.key)
