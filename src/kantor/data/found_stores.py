"""What was found -> samples by role: images decoded, or to be decoded as they are read."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import DataError
from kantor.data.cut import Cut
from kantor.data.images import LOOKED_AT, load_images
from kantor.data.part import Progress
from kantor.data.source import Encoded, Found
from kantor.data.store import InMemory, Store
from kantor.data.text_parts import without_blanks
from kantor.data.texts import Texts
from kantor.data.token_array import TokenArray
from kantor.data.views import views_of

_WHITE = 2**16 - 1
"""Of images of 16 bits."""


def stores_of(
    found: Found,
    cut: Cut,
    image_size: int | None,
    skip_corrupt: bool,
    progress: Progress | None,
) -> tuple[dict[str, Mapping[str, Store]], dict[str, Int64[np.ndarray, " source"]], dict[str, Any]]:
    """By source part: its stores by role, and where in them each source row lies (-1: nowhere); and what there is to
    say: the skipped files, and images that look dark."""
    needed = {
        name: np.sort(np.concatenate([cut.rows[part] for part, source in cut.origin.items() if source == name]))
        for name in found.parts
    }
    stores: dict[str, dict[str, Store]] = {name: {} for name in found.parts}
    corrupt: dict[str, set[int]] = {name: set() for name in found.parts}
    files, deepest = without_blanks(found, needed, skip_corrupt), []
    lazy: dict[str, int] = {}
    for key in dict.fromkeys(view.input for view in found.views.values()):
        encoded: dict[str, Encoded] = {}
        for name, source in found.parts.items():
            content = source.inputs.get(key)
            if isinstance(content, InMemory | Texts | TokenArray):
                stores[name][key] = content.take(needed[name])
            elif content is not None:
                encoded[name] = content.take(needed[name])
        if encoded:
            loaded = load_images(encoded, image_size, skip_corrupt=skip_corrupt, progress=progress)
            files += loaded.files
            lazy |= loaded.lazy
            deepest += [] if loaded.deepest is None else [loaded.deepest]
            for name, store in loaded.stores.items():
                stores[name][key] = store
                corrupt[name] |= set(loaded.corrupt[name].tolist())
    at: dict[str, Int64[np.ndarray, " source"]] = {}
    for name, source in found.parts.items():
        at[name] = np.full(len(source.targets), -1, dtype=np.int64)
        at[name][needed[name]] = np.arange(len(needed[name]))
        at[name][needed[name][sorted(corrupt[name])]] = -1
    _same_shapes(stores)
    notes: dict[str, Any] = {"skipped": files} if files else {}
    if lazy:
        many = ", ".join(f"{name} {count:,}" for name, count in lazy.items())
        notes["decoded as they are read"] = (
            f"images of {many}; {LOOKED_AT} of each were looked at, and kantor check DATA looks at all"
        )
    if deepest and max(deepest) < _WHITE // 2:
        notes |= {"16 bits": _dark(max(deepest))}
    return {name: views_of(found.views, stores[name], needed[name]) for name in found.parts}, at, notes


def _dark(largest: int) -> str:
    """What to do with images of 16 bits that use few of them."""
    bits = max(largest.bit_length(), 1)
    return (
        f"images of 16 bits hold 0 to {largest:,}, and {_WHITE:,} is white, so that all are dark. Where "
        f"{2**bits - 1:,} is white, multiply their pixels by {2 ** (16 - bits):,} before they are saved, or save 8 bits"
    )


def _same_shapes(stores: Mapping[str, Mapping[str, Store]]) -> None:
    for name, held in stores.items():
        for key, store in held.items():
            first = stores["train"].get(key, store).shape
            if store.shape != first:
                raise DataError(
                    f"A sample of {key!r} has shape {list(first)} in the train part and {list(store.shape)} in {name}. "
                    "Give both the same."
                )
