"""Matched neurons, read from what an analysis wrote and packed for a page."""

import base64
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kantor.analysis import partners
from kantor.core.errors import DataError
from kantor.core.files import read_npz
from kantor.ot.ordering import structured
from kantor.training.plans import quantised

LARGEST = 6_000_000
"""Characters that neurons may take in a page."""
WIDEST = 512
"""Wider layers are listed without a map."""
_AGAIN = "Analyse or compare again."


def pack_neurons(files: Sequence[tuple[str, str, Path]], kind: str) -> tuple[list[dict[str, Any]], str]:
    """Pack what ``kantor analyse`` or ``compare`` wrote of each neuron.

    Args:
        files: method, seed (as shown; empty for a comparison) and npz of each student, most wanted first.
        kind: the cost they were matched by.

    Returns:
        The sets, and what was left out to keep the page small.

    Raises:
        ConfigError: a file cannot be read.
    """
    sets: list[dict[str, Any]] = []
    size = 0
    for done, (method, seed, path) in enumerate(files):
        packed = [{"method": method, "seed": seed} | one for one in _read(path, kind)]
        size += sum(len(str(one)) for one in packed)
        if sets and size > LARGEST:
            return sets, f"The page holds {done} of {len(files)} students; the rest is in the folder."
        sets += packed
    return sets, ""


def data_uri(image: Path) -> str:
    """A JPEG that needs no file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return "data:image/jpeg;base64," + base64.b64encode(image.read_bytes()).decode()
    except OSError as error:
        raise DataError(f"{image} cannot be read: {error.strerror}. {_AGAIN}") from None


def beside(folder: Path, file: str) -> Path:
    """A file that another one in ``folder`` names: there or below, so that a page shows nothing from elsewhere.

    Raises:
        DataError: it is elsewhere.
    """
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise DataError(f"What {folder} holds names the file {file}, which is not in it. {_AGAIN}")
    return folder / file


def _read(path: Path, kind: str) -> list[dict[str, Any]]:
    content = read_npz(path, _AGAIN)
    found = [_pack(content, k, kind) for k in range(sum(name.startswith("plan_") for name in content))]
    if len({one["of"] for one in found}) > 1:  # layers of several teachers may have the same paths
        for one in found:
            one["layers"][0] = f"{one['of']}:{one['layers'][0]}"
    return found


def _pack(content: dict[str, NDArray], k: int, kind: str) -> dict[str, Any]:
    plan, cost = content[f"plan_{k}"], content[f"cost_{k}"]
    packed: dict[str, Any] = {
        "of": str(content.get(f"a_name_{k}", "")),
        "layers": [str(content[f"a_layer_{k}"]), str(content[f"b_layer_{k}"])],
        "widths": list(plan.shape),
        "matches": [
            [i, j, round(share, 3), round(float(cost[i, j]), 4)] for i, j, share in partners(torch.from_numpy(plan))
        ],
        "tops": [content[f"top_a_{k}"].tolist(), content[f"top_b_{k}"].tolist()],
    }
    if max(plan.shape) <= WIDEST:
        order = structured(plan, cost)
        scale = float(plan.max()) or 1.0
        # How alike two units are: 1 for a cost of 0; 0 for unrelated units, and for opposite ones.
        alike = np.square((1 - cost / (1.0 if kind in ("correlation", "cosine") else cost.mean())).clip(0, 1))
        packed |= {
            "order": [side.tolist() for side in order],
            "plan": _deflated(quantised(plan, scale)),
            "alike": _deflated(quantised(alike, 1.0)),
        }
    return packed


def _deflated(array: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()
