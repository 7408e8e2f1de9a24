"""A teacher's outputs on disk, for every sample and fixed view: computed once, then looked up by id.

Each layer has a folder named by its key, the hash of everything its values depend on: the samples, the views, the
teacher's weights and preprocess, the layer. Outputs of other samples, of another transform or of other weights lie
under another key, so they cannot be taken for these.
"""

import contextlib
import hashlib
import json
import math
import shutil
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from kantor.core.errors import ConfigError, DataError, NonFiniteError, ShapeError
from kantor.core.numbers import size
from kantor.data.augment import Augment
from kantor.data.batch import Batch
from kantor.data.kept_array import opened, writing
from kantor.data.part import Part, Progress

_VIEW_NAMES = ("image", "mirror")
_NUMPY = {
    torch.float32: np.dtype("<f4"),
    torch.float16: np.dtype("<f2"),
    torch.float64: np.dtype("<f8"),
    torch.uint16: np.dtype("<u2"),
    torch.int32: np.dtype("<i4"),
}


@dataclass(frozen=True)
class LayerSpec:
    """What is kept of one layer."""

    shape: tuple[int, ...]
    """Of one sample's output, as it is kept."""
    dtype: torch.dtype = torch.float32
    """As it is kept: float16 halves the size, and is looked up as float32; whole numbers as int64."""
    pooled: bool = False
    """Whether a map is kept as its mean over positions."""


class TeacherCache:
    """Outputs of one teacher for one part, mapped from disk. Made by ``TeacherCache.open``."""

    def __init__(
        self, folder: Path, part: Part, augment: Augment, role: str, teacher: str, layers: Mapping[str, LayerSpec]
    ):
        self.folder, self.part, self.augment, self.role, self.teacher = folder, part, augment, role, teacher
        self.layers = dict(layers)
        self.views = augment.views or 0
        self.missing: dict[str, str] = {}
        self._values: dict[str, Float[np.ndarray, "views_samples ..."]] = {}
        self._keys = {name: self._key(name) for name in self.layers}

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        part: Part,
        augment: Augment,
        role: str,
        teacher: str,
        layers: Mapping[str, LayerSpec],
        limit_bytes: float | int,
    ) -> "TeacherCache":
        """What is kept under ``folder`` of these outputs, verified against its checksums.

        ``missing`` says of each layer that must be filled why: nothing kept yet (and what nearly matches differs in),
        or a file that is damaged.

        Args:
            folder: caches of any number of teachers and data sets may share it.
            part: the samples.
            augment: one with fixed views.
            role: which of a batch's inputs the teacher sees.
            teacher: a digest of its weights and preprocess.
            layers: what to keep, by layer.
            limit_bytes: refuse anything larger.

        Raises:
            ConfigError: the augmentation has no fixed views; the size is over the limit, or over the free space.
            DataError: the folder of a key holds what kantor did not put there.
        """
        if augment.views is None:
            raise ConfigError(
                f"Outputs under augmentation {augment.name!r} cannot be kept: each epoch's crop is new to the teacher. "
                "Use --augment mirror or none, or --cache off."
            )
        # Seen by this role alone: what others see is neither read nor part of the key.
        cache = cls(Path(folder), part.seen_by(role), augment, role, teacher, layers)
        if cache.bytes > limit_bytes:
            raise ConfigError(
                f"Keeping {cache._sizes()} for {len(part)} samples in {cache.views} view(s) takes {size(cache.bytes)}, "
                f"over the limit of {size(limit_bytes)}. Use a pooled or smaller layer, raise --cache-limit, or turn "
                "it off with --cache off."
            )
        for name in cache.layers:
            cache._open_layer(name)
        return cache

    @property
    def bytes(self) -> int:
        """What all layers take on disk (headers aside)."""
        return sum(self._layer_bytes(name) for name in self.layers)

    def fill(
        self, outputs: Callable[[Batch], Mapping[str, Tensor]], batch_size: int = 256, progress: Progress | None = None
    ) -> None:
        """Compute and keep what is missing. A run that is killed meanwhile leaves nothing that looks full.

        Args:
            outputs: a batch (on the CPU, in one fixed view, what the teacher sees in the place of ``student`` and
                ``teacher``) -> at least the missing layers, ``[batch, *shape]``.
            batch_size: samples in each call.
            progress: told (done, total) samples times views.

        Raises:
            ShapeError: an output is not of its layer's shape.
            NonFiniteError: an output is not finite as it would be kept.
            KantorError: the folder cannot be written.
        """
        if not self.missing:
            return
        needed = sum(self._layer_bytes(name) for name in self.missing)
        self.folder.mkdir(parents=True, exist_ok=True)
        if needed > (free := shutil.disk_usage(self.folder).free):
            raise ConfigError(
                f"The teacher's outputs take {size(needed)}, and {self.folder} has {size(free)} free. Free space, "
                "choose another folder, or turn the cache off with --cache off."
            )
        names = list(self.missing)
        with contextlib.ExitStack() as files:
            append = {name: files.enter_context(writing(*self._file(name))) for name in names}
            done, total = 0, self.views * len(self.part)
            for view in range(self.views):
                for start in range(0, len(self.part), batch_size):
                    batch = self._batch(view, np.arange(start, min(start + batch_size, len(self.part))))
                    found = outputs(batch)
                    for name in names:
                        append[name](self._checked(name, found, batch))
                    done += len(batch)
                    if progress is not None:
                        progress(done, total)
        for name in names:
            self._open_layer(name)
        if self.missing:
            raise DataError(f"The teacher cache was written and cannot be read back: {self._say_missing()}.")

    def lookup(
        self, ids: Int64[Tensor, " batch"], views: Int64[Tensor, " batch"] | None, layers: Iterable[str] | None = None
    ) -> dict[str, Float[Tensor, "batch ..."]]:
        """The outputs of ``layers``, of all if left out, for samples ``ids`` in fixed views ``views``.

        Raises:
            DataError: the cache is not full, or does not hold such a sample or view.
            KeyError: it holds no such layer.
        """
        if self.missing:
            raise DataError(f"The teacher cache is not filled: {self._say_missing()}. Call fill() first.")
        if views is None:
            raise DataError("These samples are in no fixed view, and the teacher cache holds fixed views alone.")
        wanted, of = ids.cpu().numpy(), views.cpu().numpy()
        at = np.searchsorted(self.part.ids, wanted)
        strange = self.part.ids[np.minimum(at, len(self.part) - 1)] != wanted
        if strange.any() or (of < 0).any() or (of >= self.views).any():
            which = wanted[strange | (of < 0) | (of >= self.views)]
            raise DataError(
                f"The teacher cache holds {len(self.part)} samples of the {self.part.name} part in {self.views} "
                f"view(s); it has not what is asked of ids {which[:5].tolist()}."
            )
        rows = of * len(self.part) + at
        names = self._values if layers is None else layers
        found = {name: torch.from_numpy(np.asarray(self._values[name][rows])) for name in names}
        return {name: _looked_up(x) for name, x in found.items()}

    def facts(self) -> dict[str, Any]:
        """What step 0 prints: what the cache is keyed by, its size, and why a layer must be filled."""
        return {
            "folder": str(self.folder),
            "keyed_by": self._key_parts(next(iter(self.layers))) if self.layers else {},
            "layers": {name: self._keys[name] for name in self.layers},
            "bytes": self.bytes,
            "to_fill": dict(self.missing),
        }

    def _open_layer(self, name: str) -> None:
        values, reason = opened(*self._file(name))
        if values is None:
            self.missing[name] = reason
        else:
            self.missing.pop(name, None)
            self._values[name] = values

    def _batch(self, view: int, rows: Int64[np.ndarray, " batch"]) -> Batch:
        inputs, ids = self.augment.view(self.part.read(rows), view), torch.from_numpy(self.part.ids[rows])
        return Batch(inputs, self.part.labels(rows, inputs), ids, torch.full_like(ids, view))

    def _checked(self, name: str, found: Mapping[str, Tensor], batch: Batch) -> Float[np.ndarray, "batch ..."]:
        spec = self.layers[name]
        values = found[name].detach().to("cpu", spec.dtype)
        if tuple(values.shape) != (len(batch), *spec.shape):
            raise ShapeError(
                f"The teacher's layer {name!r} gave {list(values.shape)}, and the cache expects "
                f"{[len(batch), *spec.shape]}."
            )
        bad = ~values.reshape(len(batch), -1).isfinite().all(dim=1) if spec.dtype.is_floating_point else None
        if bad is not None and bad.any() and batch.ids is not None:
            raise NonFiniteError(
                f"The teacher's layer {name!r} is not finite as {spec.dtype} for sample ids "
                f"{batch.ids[bad][:5].tolist()}. Keep it as float32, or check the teacher."
            )
        return values.numpy()

    def _file(self, name: str) -> tuple[Path, dict[str, Any], tuple[int, ...], np.dtype]:
        spec = self.layers[name]
        path = self.folder / self._keys[name] / f"{urllib.parse.quote(name, safe='')}.npy"
        return path, self._key_parts(name), (self.views * len(self.part), *spec.shape), _NUMPY[spec.dtype]

    def _key_parts(self, name: str) -> dict[str, Any]:
        spec, tokenizer = self.layers[name], self.part.tokenizers.get(self.role)
        return {
            "format": 1,
            "samples": self.part.fingerprint,
            "role": self.role,
            "views": list(_VIEW_NAMES[: self.views]),
            "teacher": self.teacher,
            **({} if tokenizer is None else {"tokenizer": tokenizer.digest}),
            "layer": name,
            "pooled": spec.pooled,
            "shape": list(spec.shape),
            "dtype": str(_NUMPY[spec.dtype]),
        }

    def _key(self, name: str) -> str:
        if self.layers[name].dtype not in _NUMPY:
            raise ConfigError(f"Layer {name!r} cannot be kept as {self.layers[name].dtype}. Use float32 or float16.")
        return hashlib.sha256(json.dumps(self._key_parts(name), sort_keys=True).encode()).hexdigest()[:32]

    def _layer_bytes(self, name: str) -> int:
        spec = self.layers[name]
        return len(self.part) * self.views * math.prod(spec.shape) * _NUMPY[spec.dtype].itemsize

    def _sizes(self) -> str:
        return ", ".join(f"{name} {list(spec.shape)}" for name, spec in self.layers.items())

    def _say_missing(self) -> str:
        return "; ".join(f"{name}: {reason}" for name, reason in self.missing.items())


def _looked_up(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        return x.long()
    return x.float() if x.dtype == torch.float16 else x
