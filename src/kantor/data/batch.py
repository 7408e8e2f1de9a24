"""A batch: what data hands to the objective."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Int64
from torch import Tensor

from kantor.capture.masks import Meaning
from kantor.core.inputs import Inputs, on_device, rows, samples_in


@dataclass(frozen=True)
class Batch:
    """Samples as the student and the teachers see them.

    ``inputs["student"]`` and ``inputs["teacher"]`` are the same object unless the data says otherwise, so that it is
    moved and normalised once. Where teachers see different things, each has its input under its own name.
    """

    inputs: Mapping[str, Inputs]
    """By role: a tensor, or a mapping of tensors that the network takes as keyword arguments (``input_ids``,
    ``attention_mask``). Images are float32 ``[batch, channels, height, width]`` in [0, 1], vectors ``[batch, dim]``."""
    targets: Int64[Tensor, " labelled"] | None = None
    """Class numbers of the first samples; those after them have no label. None where no sample has one."""
    ids: Int64[Tensor, " batch"] | None = None
    """Row numbers in the source part the samples came from: the same sample has the same id in every epoch and run."""
    views: Int64[Tensor, " batch"] | None = None
    """Which fixed view each sample is (0 the image, 1 its mirror); None where the augmentation has no fixed views."""
    masks: Mapping[str, Meaning] = field(default_factory=dict)
    """What inputs that are masks say where they are true, by their names: those that :mod:`kantor.capture.masks` does
    not know."""

    def __len__(self) -> int:
        return samples_in(next(iter(self.inputs.values())))

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on ``device``; roles that share an input share it there too."""
        there: dict[int, Inputs] = {}
        for given in self.inputs.values():
            if id(given) not in there:
                there[id(given)] = on_device(given, device)
        inputs = {role: there[id(given)] for role, given in self.inputs.items()}
        rest = {"targets": self.targets, "ids": self.ids, "views": self.views}
        moved_there = {name: None if x is None else x.to(device, non_blocking=True) for name, x in rest.items()}
        return replace(self, inputs=inputs, **moved_there)

    def first(self, samples: int) -> "Batch":
        """What the first few samples show each role, without their targets and ids."""
        return Batch({role: rows(given, slice(samples)) for role, given in self.inputs.items()}, masks=self.masks)

    def parts(self, count: int) -> list["Batch"]:
        """The batch cut into so many, each with its share of labelled samples and of those without a label.

        One part is the batch itself. Where there are fewer samples than parts, there are fewer parts.
        """
        if count == 1:
            return [self]
        known = len(self) if self.targets is None else len(self.targets)
        cuts = [
            torch.cat(pieces)
            for pieces in zip(
                torch.arange(known).tensor_split(count), torch.arange(known, len(self)).tensor_split(count), strict=True
            )
        ]
        return [self._at(of) for of in cuts if len(of)]

    def _at(self, of: Int64[Tensor, " some"]) -> "Batch":
        """Some of its samples, those with a label first."""
        there = {id(given): rows(given, of) for given in self.inputs.values()}
        inputs = {role: there[id(given)] for role, given in self.inputs.items()}
        targets = None if self.targets is None else self.targets[of[of < len(self.targets)]]
        ids, views = (None if x is None else x[of] for x in (self.ids, self.views))
        return replace(self, inputs=inputs, targets=targets, ids=ids, views=views)
