"""Pictures of the samples that plans were recorded on: a sheet of thumbnails for each view."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from kantor.core.files import read_npz
from kantor.data.label_kinds import texts_of
from kantor.report.run import Run
from kantor.results.files import plan_samples_file

COLUMNS = 32
"""Thumbnails in a row of a sheet."""


@dataclass(frozen=True)
class Pictures:
    """The samples of one run's probe."""

    index: dict[str, Any]
    """What the page's script reads: each sample's ``name``, ``sheets`` with a thumbnail's size, and which of them is
    ``of`` the student, the teacher, or a teacher that sees something of its own."""
    sheets: dict[str, str]
    """As data URLs."""

    @property
    def size(self) -> int:
        """Characters of the sheets."""
        return sum(map(len, self.sheets.values()))


def pictures(runs: Sequence[Run], largest: int) -> list[Pictures | None]:
    """The probe of each run, None where none was recorded; without pictures if these take over ``largest`` in all."""
    found = [_pictures(run) for run in runs]
    if sum(known.size for known in found if known is not None) <= largest:
        return found
    return [known and Pictures(known.index | {"sheets": {}, "of": {}}, {}) for known in found]


def _pictures(run: Run) -> Pictures | None:
    path = plan_samples_file(run.folder)
    if not path.exists():
        return None
    content = read_npz(path, "Delete it: plans are shown without the samples that excite a unit then.")
    labels = texts_of(content["targets"], run.class_names)
    names = [[int(sample), label] for sample, label in zip(content["ids"], labels, strict=True)]
    sheets: dict[str, str] = {}
    sizes: dict[str, list[int]] = {}
    of: dict[str, str] = {}
    for name, images in content.items():
        if name in ("ids", "targets", "fingerprint"):
            continue
        url = _sheet(images)
        # Classes of the page: a teacher's name may hold what these may not. Teachers that see the same share one.
        key = next((key for key, known in sheets.items() if known == url), name)
        key = f"teacher-{len(sheets)}" if "/" in key else key
        sheets[key], sizes[key] = url, [images.shape[2], images.shape[1]]
        of[name.removeprefix("teacher/")] = key
    return Pictures({"names": names, "sheets": sizes, "of": of, "columns": COLUMNS}, sheets)


def _sheet(images: UInt8[np.ndarray, "n h w c"]) -> str:
    n, h, w, c = images.shape
    rows = -(-n // COLUMNS)
    padded = np.zeros((rows * COLUMNS, h, w, c), np.uint8)
    padded[:n] = images
    sheet = padded.reshape(rows, COLUMNS, h, w, c).transpose(0, 2, 1, 3, 4).reshape(rows * h, COLUMNS * w, c)
    picture, buffer = Image.fromarray(sheet[..., 0] if c == 1 else sheet), io.BytesIO()
    # Small images are compared pixel by pixel; of larger ones the gist is enough.
    form = "png" if max(h, w) <= 16 else "jpeg"
    picture.save(buffer, form, **({"optimize": True} if form == "png" else {"quality": 80}))
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode()}"
