"""Augmentation as a pure function of (seed, epoch, sample id).

No generator is carried along, so a sample looks the same in epoch 7 whatever the batch, the process or the step a
run was resumed from.
"""

from dataclasses import dataclass
from typing import ClassVar, TypeGuard

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt64
from torch import Tensor

from kantor.core.errors import ConfigError, suggest
from kantor.core.inputs import Inputs, shown
from kantor.core.seeds import AUGMENT, hash64

ByRole = dict[str, Inputs]

_FLIP, _DOWN, _RIGHT = range(3)


@dataclass(frozen=True)
class Augment:
    """``none``, ``mirror`` (left-right with probability 1/2) or ``crop+mirror`` (a shift by up to an eighth of the
    size, filled with zeros, then the mirror: the usual pad-4 crop on 32 x 32).

    The same geometry is applied to every image role; vectors pass unchanged.
    """

    name: str

    NAMES: ClassVar[tuple[str, ...]] = ("none", "mirror", "crop+mirror")

    @classmethod
    def named(cls, name: str) -> "Augment":
        """The augmentation called ``name``.

        Raises:
            ConfigError: there is none of that name.
        """
        if name not in cls.NAMES:
            raise ConfigError(f"No augmentation is called {name!r}. {suggest(name, cls.NAMES)}")
        return cls(name)

    @property
    def views(self) -> int | None:
        """How many fixed views a sample has, so that a teacher's outputs can be kept for each; None for a crop."""
        return {"none": 1, "mirror": 2}.get(self.name)

    def apply(
        self, inputs: ByRole, ids: Int64[Tensor, " batch"], epoch: int, seed: int
    ) -> tuple[ByRole, Int64[Tensor, " batch"] | None]:
        """The inputs as epoch ``epoch`` sees them, and which fixed view each sample is (None without fixed views).

        Roles that share a tensor object share the result.

        Raises:
            ConfigError: no role is an image, and the augmentation needs one.
        """
        if self.name == "none":
            return inputs, torch.zeros_like(ids)
        self._need_image(inputs)
        rows = ids.numpy()
        flip = torch.from_numpy((_draw(seed, epoch, _FLIP, rows) & np.uint64(1)).astype(bool))
        if self.name == "mirror":
            return _map_images(inputs, lambda x: _mirror(x, flip)), flip.to(torch.int64)
        down, right = (_draw(seed, epoch, stream, rows) for stream in (_DOWN, _RIGHT))
        finest = min((x for x in inputs.values() if _is_image(x)), key=lambda x: x.shape[-1] * x.shape[-2])
        size = (finest.shape[-2], finest.shape[-1])
        return _map_images(inputs, lambda x: _mirror(_shift(x, down, right, size), flip)), None

    def view(self, inputs: ByRole, view: int) -> ByRole:
        """The inputs as fixed view ``view``: 0 the image, 1 its mirror. Vectors, which may be all that a teacher sees
        of samples that have an image too, are the same in every view.

        Raises:
            ConfigError: the augmentation has no such view.
        """
        if view not in range(self.views or 0):
            raise ConfigError(f"Augmentation {self.name!r} has no fixed view {view}: a crop differs in every epoch.")
        return inputs if view == 0 else _map_images(inputs, lambda x: x.flip(-1))

    def _need_image(self, inputs: ByRole) -> None:
        if not any(map(_is_image, inputs.values())):
            shapes = ", ".join(f"{role} {shown(x, batch=False)}" for role, x in inputs.items())
            raise ConfigError(f"Augmentation {self.name!r} needs images, and the inputs are {shapes}. Use 'none'.")


def _draw(seed: int, epoch: int, stream: int, ids: Int64[np.ndarray, " batch"]) -> UInt64[np.ndarray, " batch"]:
    return hash64(seed, AUGMENT, epoch, stream, ids)


def _is_image(x: Inputs) -> TypeGuard[Tensor]:
    return isinstance(x, Tensor) and x.ndim == 4


def _map_images(inputs: ByRole, change) -> ByRole:
    done: dict[int, Inputs] = {}
    for x in inputs.values():
        if id(x) not in done:
            done[id(x)] = change(x) if _is_image(x) else x
    return {role: done[id(x)] for role, x in inputs.items()}


def _mirror(x: Float[Tensor, "batch c h w"], flip: Bool[Tensor, " batch"]) -> Float[Tensor, "batch c h w"]:
    return torch.where(flip[:, None, None, None], x.flip(-1), x)


def _shift(
    x: Float[Tensor, "batch c h w"],
    down: UInt64[np.ndarray, " batch"],
    right: UInt64[np.ndarray, " batch"],
    finest: tuple[int, int],
) -> Float[Tensor, "batch c h w"]:
    """Shift by whole pixels of the smallest image among the roles, so that a larger one is shifted alike."""
    height, width = x.shape[-2:]
    starts, pads = [], []
    for words, size, smallest in ((down, height, finest[0]), (right, width, finest[1])):
        reach = max(1, round(smallest / 8))
        pixels = (words % np.uint64(2 * reach + 1)).astype(np.int64) - reach
        pad = round(reach * size / smallest)
        starts.append(torch.from_numpy(np.rint(pixels * (size / smallest)).astype(np.int64) + pad))
        pads.append(pad)
    padded = F.pad(x, (pads[1], pads[1], pads[0], pads[0]))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(x)), :, starts[0], starts[1]]
