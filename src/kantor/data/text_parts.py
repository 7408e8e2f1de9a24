"""What opening does to texts alone: empty ones, tokenizers that are learned from them, what is said of their tokens."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import DataError
from kantor.data.part import Part
from kantor.data.source import Found
from kantor.data.texts import Texts
from kantor.data.tokenised import Tokenised
from kantor.data.tokenizer import Learned

_LOOKED_AT = 500
"""Texts that are read for what two tokenizers make of them."""


def with_learned(found: Found, held_out: Int64[np.ndarray, " rows"] | None) -> Found:
    """The data with every tokenizer that is to be learned, learned: from all training texts, labelled or not.

    What is kept of the training part is cut later, so that a tokenizer is the same however few labels are used.

    Args:
        found: the data.
        held_out: rows of the training source that are cut off for the test.
    """
    source = found.parts["train"]
    views = {}
    for role, view in found.views.items():
        if isinstance(view.tokens, Learned):
            texts = source.inputs[view.input]
            assert isinstance(texts, Texts)
            rows = np.arange(len(texts)) if held_out is None else np.setdiff1d(np.arange(len(texts)), held_out)
            pieces = texts.take(rows).pieces()
            view = replace(view, tokens=view.tokens.of(text for piece in pieces for text in piece if text))
        views[role] = view
    return replace(found, views=views)


def without_blanks(found: Found, needed: dict[str, Int64[np.ndarray, " n"]], skip: bool) -> list[str]:
    """Take empty texts out of the rows that are needed, and name them.

    Args:
        found: the data.
        needed: rows by source part; changed.
        skip: leave them out.

    Raises:
        DataError: there is one, and it may not be left out; its file and row are named.
    """
    skipped = []
    for name, source in found.parts.items():
        for texts in source.inputs.values():
            if not isinstance(texts, Texts):
                continue
            taken = texts.take(needed[name])
            blank = taken.blank()
            if len(blank) and not skip:
                raise DataError(
                    f"{taken.describe(int(blank[0]))} has no text ({len(blank)} such rows). Write it, remove the row, "
                    "or leave such rows out with --skip-corrupt true."
                )
            skipped += [taken.describe(row) for row in blank.tolist()]
            needed[name] = np.delete(needed[name], blank)
    return skipped


def tokens_in_words(part: Part) -> Mapping[str, str]:
    """What step 0 says of texts' tokens: by role its tokenizer, and how many texts it cuts."""
    said = {}
    for role, store in part.stores.items():
        if isinstance(store, Tokenised):
            made, texts = store.tokenizer, f"{store.cut:,} of {len(store.texts):,} training texts"
            said[f"tokens ({role})"] = (
                f"of {made.origin}, {made.vocabulary:,} different ones; {texts} are cut to {made.longest}"
            )
    return said | _read_apart(part)


def _read_apart(part: Part) -> dict[str, str]:
    """Where two tokenizers see one text differently: letters that one changes or has no token for, and marks, as those
    of a chat template, that are one token of one and spelled by the other."""
    seen = {role: store for role, store in part.stores.items() if isinstance(store, Tokenised)}
    student = seen.get("student")
    said: dict[str, str] = {}
    if student is None:
        return said
    texts = student.texts.read(part.rows[:_LOOKED_AT])
    for role, store in seen.items():
        theirs, ours = store.tokenizer, student.tokenizer
        if theirs == ours:
            continue
        sides = {f"{role}'s tokenizer ({theirs.origin})": theirs, f"the student's ({ours.origin})": ours}
        changed = {who: sum(not of.is_read(text) for text in texts) for who, of in sides.items()}
        if any(changed.values()):
            counts = ", and ".join(f"{who} reads {count}" for who, count in changed.items())
            said[f"letters ({role})"] = (
                f"of {len(texts)} texts, {counts} otherwise than they are written (lowered, without accents, unknown). "
                "Bits per byte are of the text as it is written"
            )
        for (who, of), (other, without) in itertools.permutations(sides.items(), 2):
            marks = {mark: sum(mark in text for text in texts) for mark in sorted(of.marks - set(without.tokens))}
            if held := [f"{mark!r} in {count}" for mark, count in marks.items() if count]:
                said[f"marks ({role})"] = (
                    f"of {len(texts)} texts, {', '.join(held[:5])}: one token to {who}, and letters to {other}. If a "
                    "chat template wrote them, take them out of the texts, or give both models one tokenizer"
                )
    return said
