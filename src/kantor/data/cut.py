"""Which rows of the sources each part has. Every cut is by a fixed hash of the sample's id, whatever the run's seed."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import ConfigError, DataError
from kantor.data import split
from kantor.data.labels import NO_LABEL
from kantor.data.part import Part
from kantor.data.source import Found
from kantor.data.store import Store
from kantor.data.subset import labels_per_class as some_labels
from kantor.data.subset import without_labels

Rows = Int64[np.ndarray, " rows"]


class Cut:
    """The parts as rows of the sources that were found, from those that the data bring.

    Args:
        found: the data.
        path: as the user named them, for messages.

    Raises:
        DataError: a sample that the data put into a part of their own has no label.
    """

    rows: dict[str, Rows]
    """By part."""
    origin: dict[str, str]
    """By part: the source that its rows are of."""
    bare: Rows
    """Training samples without a label."""

    def __init__(self, found: Found, path: str) -> None:
        self._found = found
        self._strata = found.parts["train"].strata
        self.rows = {name: np.flatnonzero(source.strata >= 0) for name, source in found.parts.items()}
        self.origin = {name: name for name in self.rows} | dict.fromkeys(found.cuts, "train")
        self.rows |= found.cuts
        bare = np.flatnonzero(self._strata == NO_LABEL)
        for name, given in found.cuts.items():
            if name != "train" and np.isin(given, bare).any():
                raise DataError(f"{path}: row {given[np.isin(given, bare)][0]} is in {name} and has no label.")
        self.bare = np.intersect1d(bare, found.cuts.get("train", bare))
        if len(self.bare):
            self.rows["train"] = np.setdiff1d(self.rows["train"], self.bare)

    def test(self) -> bool:
        """Cut a test part where the data bring none; whether that was so."""
        if "test" in self.rows:
            return False
        self._take("test", self._found.test_share, split.TEST)
        return True

    def validation(self, share: float) -> None:
        """Cut a validation part, a share of what is there to train on, where there is none yet."""
        if "validation" not in self.rows and share > 0:
            self._take("validation", share, split.VALIDATION)

    def train(self, limit: int | None, labels_per_class: int | None, unlabelled: int | Literal["all"] | None) -> None:
        """Keep what the student may see with labels, and what it sees without.

        Raises:
            ConfigError: the limit is below the number of classes.
            DataError: a class has too few samples, or too few are left without labels.
        """
        everything = self.rows["train"]
        if limit is not None:
            self.rows["train"] = self._limited(everything, limit)
        if labels_per_class is not None:
            self.rows["train"] = some_labels(self._found, everything, labels_per_class)
        if unlabelled is not None:
            rest = np.union1d(np.setdiff1d(everything, self.rows["train"]), self.bare)
            self.rows["unlabelled"] = without_labels(rest, unlabelled)
            self.origin["unlabelled"] = "train"

    def keep(self, at: Mapping[str, Rows]) -> None:
        """Leave out rows that are nowhere, since their files could not be read.

        Args:
            at: by source, where each row lies; -1 for nowhere.
        """
        for name, kept in self.rows.items():
            self.rows[name] = kept[at[self.origin[name]][kept] >= 0]

    def part(self, name: str, stores: Mapping[str, Mapping[str, Store]], at: Mapping[str, Rows]) -> Part | None:
        """A part with its samples; None where it has none.

        Args:
            name: train, validation, test or unlabelled.
            stores: samples by source and role.
            at: as :meth:`keep` takes it.
        """
        if name not in self.rows or len(self.rows[name]) == 0:
            return None
        origin, ids = self.origin[name], self.rows[name]
        source = self._found.parts[origin]
        labelled = self._found.labelled and name != "unlabelled"
        held, places = stores[origin], at[origin][ids]
        return Part(name, ids, source.targets[ids], len(source.targets), held, places, labelled)

    def _take(self, name: str, share: float, purpose: int) -> None:
        """Cut a share of the training rows off, stratified."""
        everything = self.rows["train"]
        count = split.share(share, len(everything))
        places = split.choose(self._strata[everything], everything, count, purpose, leave_one=True)
        self.rows[name], self.rows["train"] = everything[places], np.delete(everything, places)
        self.origin[name] = "train"

    def _limited(self, rows: Rows, limit: int) -> Rows:
        strata = self._strata[rows]
        present = len(np.unique(strata))
        if limit < present:
            raise ConfigError(
                f"A limit of {limit} training samples is too few for {present} classes: keep at least {present}."
            )
        return rows[split.choose(strata, rows, min(limit, len(rows)), split.LIMIT)]
