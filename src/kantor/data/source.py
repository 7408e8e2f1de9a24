"""What a reader of a format finds: labelled parts, not yet decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, Shaped

from kantor.data.label_kinds import LabelKind, strata_of
from kantor.data.store import InMemory
from kantor.data.texts import Texts
from kantor.data.token_array import TokenArray
from kantor.data.views import View

NORMALISED = "pixels"
"""The note of a data set whose images are normalised already."""


@dataclass(frozen=True, eq=False)
class Identities:
    """What is known of images before they are read."""

    names: list[str]
    """Of their files, below the place where they lie."""
    sizes: Int64[np.ndarray, " n"]
    """In bytes; -1 where it is not known."""
    stamps: Int64[np.ndarray, " n"]
    """What changes when their content does: when it was last written (ns), or a checksum."""


@runtime_checkable
class Encoded(Protocol):
    """Compressed images by position."""

    def __len__(self) -> int: ...

    @property
    def place(self) -> Path:
        """The folder or file that they lie in."""
        ...

    def identities(self) -> Identities:
        """What is known of them without reading them."""
        ...

    def read(self, row: int) -> bytes:
        """One image's bytes, as they lie in the file. Called from several threads."""
        ...

    def describe(self, row: int) -> str:
        """The file the image is in, for messages."""
        ...

    def take(self, rows: Int64[np.ndarray, " n"]) -> "Encoded":
        """The images at ``rows``; what is left out is not read."""
        ...


@dataclass(frozen=True, eq=False)
class Source:
    """One part as it lies on disk."""

    targets: Shaped[np.ndarray, "n ..."]
    """Class numbers; in the training part also ``labels.NO_LABEL`` and ``labels.LEFT_OUT``. Or labels of another kind:
    float32 numbers (NaN where a sample has none), int64 maps."""
    inputs: Mapping[str, Encoded | InMemory | Texts | TokenArray]
    """By name: compressed images, samples in memory, texts or tokens, by row. A part other than train may lack one that
    only teachers see."""

    @property
    def strata(self) -> Int64[np.ndarray, " n"]:
        """By what cuts are proportioned: classes, or 0 where labels are none; negative where a sample has no label."""
        return strata_of(self.targets)


@dataclass(frozen=True, eq=False)
class Found:
    """All that a reader of a format found."""

    classes: Sequence[str]
    """Their names; of labels that are no classes, names of the numbers or labels."""
    parts: Mapping[str, Source]
    """Always ``train``; ``validation`` and ``test`` where the data brings them."""
    views: Mapping[str, View]
    """What each role sees of the inputs."""
    cuts: Mapping[str, Int64[np.ndarray, " rows"]] = field(default_factory=dict)
    """Rows of ``train`` that the data itself says are train, validation or test, ascending."""
    test_share: float = 0.2
    """What is cut from ``train`` for a test part where the data brings none."""
    labelled: bool = True
    """Off, every target is 0 and means nothing."""
    kind: LabelKind = "classes"
    """What the labels are."""
    notes: dict[str, Any] = field(default_factory=dict)
