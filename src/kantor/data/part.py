"""A part of a data set (train, validation, test), and the data set."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from kantor.core.errors import ConfigError, DataError
from kantor.core.inputs import Inputs
from kantor.core.seeds import SPLIT, hash64
from kantor.data.label_kinds import IGNORED, LabelKind, is_classes
from kantor.data.store import Store
from kantor.data.tokenised import TEXT, Tokenised
from kantor.data.tokenizer import Tokenizer
from kantor.data.views import ROLES, Seen, in_words, role_of

Progress = Callable[[int, int], None]
"""Told (done, total) as work goes on."""


@dataclass(frozen=True, eq=False)
class Part:
    """Samples in ascending order of their ids, ready to be read by position."""

    name: str
    """``train``, ``unlabelled``, ``validation`` or ``test``."""
    ids: Int64[np.ndarray, " n"]
    """Each sample's row number in the source part it came from: of the whole training source, before the limit and
    the validation cut."""
    targets: Shaped[np.ndarray, "n ..."]
    """Class numbers; or float32 numbers, or int64 maps (:data:`kantor.data.label_kinds.LabelKind`); ``[n, 0]`` where
    they are the tokens that the student sees."""
    samples: int
    """Ids are in ``range(samples)``: the size of the source part."""
    stores: Mapping[str, Store]
    """By role: ``student``, and ``teacher`` or every teacher by its name; roles that see the same hold the same store.
    A part that is not trained on may lack what teachers see."""
    rows: Int64[np.ndarray, " n"]
    """Where in the stores each sample lies."""
    labelled: bool = True
    """Off, batches carry no targets; cuts are still made by them."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """One sample's shape by role: ``(channels, height, width)``, ``(dim,)``, of a text ``(tokens, vocabulary)``."""
        return {role: store.shape for role, store in self.stores.items()}

    @property
    def tokenizers(self) -> dict[str, Tokenizer]:
        """By role, what texts become tokens by; none of other data."""
        return {role: store.tokenizer for role, store in self.stores.items() if isinstance(store, Tokenised)}

    @property
    def on_demand(self) -> bool:
        """Whether a read decodes."""
        return any(store.on_demand for store in self.stores.values())

    @property
    def colour(self) -> bool:
        """Whether a role sees images in colour, or what was made of some."""
        under = [store.store if isinstance(store, Seen) else store for store in self.stores.values()]
        return any(len(store.shape) == 3 and store.shape[0] == 3 for store in under)

    @property
    def is_classes(self) -> bool:
        """Whether labels are a class number a sample."""
        return is_classes(self.targets)

    @property
    def token_bytes(self) -> Float64[np.ndarray, " vocabulary"] | None:
        """Of text that a language model predicts: how many bytes each token of the student's stands for, on average
        over the part. None of other data."""
        store = self.stores.get("student")
        return store.token_bytes(self.rows) if isinstance(store, Tokenised) else None

    def labels(
        self, rows: Int64[np.ndarray, " labelled"], inputs: Mapping[str, Inputs]
    ) -> Shaped[Tensor, "labelled ..."] | None:
        """The labels of the samples at positions ``rows``; None where the part has none, or they are the tokens of a
        student that sees nothing here.

        Args:
            rows: positions.
            inputs: what is read of them, and maybe of others after them. Where labels are the tokens themselves, they
                are the student's, -100 for padding.
        """
        if not self.labelled:
            return None
        if self.targets.ndim != 2 or self.targets.shape[1]:
            return torch.from_numpy(self.targets[rows])
        seen = inputs.get("student")
        if seen is None or isinstance(seen, Tensor):
            return None
        ids, mask = (seen[name][: len(rows)] for name in TEXT)
        return torch.where(mask != 0, ids, IGNORED)

    def seen_by(self, role: str) -> "Part":
        """The same samples with student and teacher in the place of ``role``, whose input alone is read then.

        Raises:
            DataError: the part has no such view.
        """
        if role not in self.stores:
            raise DataError(f"The {self.name} part has no view for {in_words(role)}.")
        # Teachers' names are gone, so the fingerprint is that of data that all roles see alike, whoever looks.
        roles = self.stores if set(self.stores) <= set(ROLES) else ROLES
        stores = dict.fromkeys(roles, self.stores[role])
        return self if stores == self.stores else replace(self, stores=stores)

    def read(self, rows: Int64[np.ndarray, " batch"]) -> dict[str, Inputs]:
        """The samples at positions ``rows`` of this part, by role; images in [0, 1].

        Roles that see the same input share one object.

        Raises:
            DataError: an image that is decoded on demand can no longer be.
        """
        at = self.rows[rows]
        taken: dict[int, Any] = {}
        for store in self.stores.values():
            # Two transforms of one image decode it once.
            under = store.store if isinstance(store, Seen) else store
            if id(under) not in taken:
                taken[id(under)] = under.read(at)
            if isinstance(store, Seen) and id(store) not in taken:
                taken[id(store)] = store.of(taken[id(under)], at)
        return {role: taken[id(store)] for role, store in self.stores.items()}

    def check(self, progress: Progress | None = None) -> None:
        """Read every sample once. Of small parts opening has done it already; this finds what was damaged since.

        Raises:
            DataError: an image cannot be decoded; its file is named.
        """
        for start in range(0, len(self), 512):
            self.read(np.arange(start, min(start + 512, len(self))))
            if progress is not None:
                progress(min(start + 512, len(self)), len(self))

    @cached_property
    def fingerprint(self) -> str:
        """A hex digest of ids, targets and contents: parts with equal fingerprints hold the same samples."""
        digest = hashlib.sha256()
        for array in (self.ids, self.targets):
            kind = "<f4" if array.dtype.kind == "f" else "<i8"
            digest.update(np.ascontiguousarray(array, dtype=kind).tobytes())
        known: dict[int, str] = {}
        for role, store in sorted(self.stores.items()):
            if id(store) not in known:
                known[id(store)] = store.digest(self.rows)
            digest.update(f"{role}={known[id(store)]};".encode())
        return digest.hexdigest()


def sample(part: Part, largest: int) -> Part:
    """At most ``largest`` samples of a part: the same ones every time, whatever the run's seed."""
    # By hash, since files in folders come class by class.
    keep = np.sort(np.argsort(hash64(SPLIT, part.ids), kind="stable")[:largest])
    return replace(part, ids=part.ids[keep], targets=part.targets[keep], rows=part.rows[keep])


@dataclass(frozen=True, eq=False)
class DataSet:
    """Named classes and up to three parts. The test part is for the end."""

    name: str
    classes: list[str]
    """Names of what a model has an output for: classes, or the numbers or labels of a sample."""
    train: Part
    validation: Part | None
    test: Part | None
    notes: dict[str, Any] = field(default_factory=dict)
    """What was decided, skipped or ignored while opening."""
    unlabelled: Part | None = None
    """Training samples whose labels are not used: shown to transfer terms, beside those of ``train``."""
    kind: LabelKind = "classes"
    """What the labels are."""

    @cached_property
    def shown(self) -> Part:
        """All samples of training, with a label and without."""
        if self.unlabelled is None:
            return self.train
        both = (self.train, self.unlabelled)
        ids = np.concatenate([part.ids for part in both])
        order = np.argsort(ids)
        targets, rows = (np.concatenate([getattr(part, x) for part in both])[order] for x in ("targets", "rows"))
        return replace(self.train, ids=ids[order], targets=targets, rows=rows, labelled=False)

    def role_of(self, teacher: str) -> str:
        """The role that a teacher reads: ``teacher``, or its own name where teachers see different things."""
        return role_of(teacher, self.train.stores)

    def without_labels(self) -> "DataSet":
        """The same data, whose batches carry no targets."""
        return replace(
            self,
            train=replace(self.train, labelled=False),
            validation=self.validation and replace(self.validation, labelled=False),
            test=self.test and replace(self.test, labelled=False),
        )

    def part(self, name: str) -> Part:
        """The part called ``name``.

        Raises:
            ConfigError: the data set has no such part.
        """
        parts = self._parts()
        if name not in parts:
            raise ConfigError(f"{self.name} has no part {name!r}. There are: {', '.join(parts)}.")
        return parts[name]

    def facts(self) -> dict[str, Any]:
        """What step 0 prints: samples of each part and of its source, shapes, classes, and everything in ``notes``."""
        return {
            "data": self.name,
            **({} if self.kind == "classes" else {"kind": self.kind}),
            "classes": len(self.classes) if self.train.labelled else 0,
            "class_names": self.classes if self.train.labelled and not self._of_tokens else [],
            "parts": {name: {"samples": len(part), "of": part.samples} for name, part in self._parts().items()},
            "input_shapes": {role: list(shape) for role, shape in self.train.input_shapes.items()},
            **self.notes,
        }

    @property
    def _of_tokens(self) -> bool:
        """Whether the classes are a tokenizer's tokens, which are kept with it."""
        return self.kind == "next" and bool(self.train.tokenizers)

    def _parts(self) -> dict[str, Part]:
        found = (self.train, self.unlabelled, self.validation, self.test)
        return {part.name: part for part in found if part is not None}
