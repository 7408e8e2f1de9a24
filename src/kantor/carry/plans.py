"""The plan by which units were carried, for every layer: which of the teacher's each of the student's stands for."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from kantor.carry.grouping import Grouping
from kantor.carry.operations import Axes
from kantor.carry.units import Axis, Factor, expanded
from kantor.core.errors import DataError
from kantor.core.files import read_npz, write_with
from kantor.core.reading import DAMAGED


class LayerPlans(Mapping[str, Tensor]):
    """Plans ``[teacher units, student units]`` by the student's layer, as masses that sum to 1.

    Each of the teacher's units has the same mass. They are kept as their entries that are not zero, and made whole when
    one is asked for.
    """

    def __init__(self, entries: Mapping[str, sparse.coo_array]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, layer: str) -> Float[Tensor, "teacher_units student_units"]:
        return torch.from_numpy(self._entries[layer].toarray()).float()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def write(self, path: Path) -> None:
        """Keep them in a file, atomically."""
        arrays = {}
        for layer, plan in self._entries.items():
            arrays[f"{layer}/units"] = np.stack(plan.coords)
            arrays[f"{layer}/masses"] = plan.data
            arrays[f"{layer}/shape"] = np.array(plan.shape)
        write_with(path, lambda file: np.savez(file, **arrays))

    @classmethod
    def read(cls, path: Path) -> "LayerPlans":
        """As they were kept.

        Raises:
            DataError: the file is missing or damaged.
        """
        arrays = read_npz(path, DAMAGED)
        layers = [name.removesuffix("/shape") for name in arrays if name.endswith("/shape")]
        try:
            entries = {
                layer: sparse.coo_array(
                    (arrays[f"{layer}/masses"], tuple(arrays[f"{layer}/units"])),
                    shape=tuple(map(int, arrays[f"{layer}/shape"])),
                )
                for layer in layers
            }
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path} holds no plans: {error}. {DAMAGED}") from None
        return cls(entries)


def plan_of(axes: Axes, groupings: Mapping[Factor, Grouping]) -> sparse.coo_array | None:
    """The plan between the units of a layer's output; None where it has none.

    Args:
        axes: of the teacher's output: ``[batch, units, ...]``, or tokens ``[batch, tokens, units]``.
        groupings: how its units were carried.
    """
    if not 2 <= len(axes) <= 5:
        return None
    shares = _shares(axes[2] if len(axes) == 3 else axes[1], groupings)
    return sparse.coo_array(shares.T / shares.sum())  # a share of 1 for each of the teacher's units


def _shares(axis: Axis, groupings: Mapping[Factor, Grouping]) -> sparse.csr_array:
    """``[student units, teacher units]``, columns sum to 1."""
    found = sparse.csr_array(np.ones((1, 1)))
    for place in expanded(axis):
        factor = place.factor
        if factor.concatenation:
            here = sparse.block_diag([_shares(part, groupings) for part in factor.concatenation])
        elif factor in groupings:
            here = sparse.csr_array(groupings[factor].summed.numpy())
        else:
            here = sparse.eye_array(factor.size)
        found = sparse.csr_array(sparse.kron(found, here))
    return found
