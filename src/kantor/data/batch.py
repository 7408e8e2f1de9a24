"""A batch: what data hands to the objective."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Samples as the student and the teachers see them.

    ``inputs["student"]`` and ``inputs["teacher"]`` are the same tensor object unless the data says otherwise, so that
    it is moved and normalised once. Where teachers see different things, each has its input under its own name.
    """

    inputs: dict[str, Shaped[Tensor, "batch ..."]]
    """By role; images are float32 ``[batch, channels, height, width]`` in [0, 1], vectors ``[batch, dim]``."""
    targets: Int64[Tensor, " labelled"] | None = None
    """Class numbers of the first samples; those after them have no label. None where no sample has one."""
    ids: Int64[Tensor, " batch"] | None = None
    """Row numbers in the source part the samples came from: the same sample has the same id in every epoch and run."""
    views: Int64[Tensor, " batch"] | None = None
    """Which fixed view each sample is (0 the image, 1 its mirror); None where the augmentation has no fixed views."""

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on ``device``; roles that share a tensor share it there too."""
        moved: dict[int, Tensor] = {}
        for tensor in self.inputs.values():
            if id(tensor) not in moved:
                moved[id(tensor)] = tensor.to(device, non_blocking=True)
        inputs = {role: moved[id(tensor)] for role, tensor in self.inputs.items()}
        rest = (self.targets, self.ids, self.views)
        return Batch(inputs, *(None if tensor is None else tensor.to(device, non_blocking=True) for tensor in rest))
