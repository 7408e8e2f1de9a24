"""One array on disk beside a description of what it is: written whole, verified before it is believed."""

import contextlib
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from kantor.core.errors import DataError
from kantor.core.files import write_json
from kantor.data.whole_folders import whole_folder

NOTHING = "nothing is kept yet"
"""How the reason begins that an array must be written for the first time."""
_DESCRIPTION = "cache.json"
_READ = 1 << 22


@contextlib.contextmanager
def writing(
    path: Path, about: dict[str, Any], shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[Callable[[Shaped[np.ndarray, "rows ..."]], None]]:
    """Yields a function that appends rows; once all ``shape[0]`` are there, ``path``'s folder appears, whole.

    Rows are written one after the other and not through a memory map, which would end in a bus error on a full disk.

    Raises:
        KantorError: the disk is full, or the folder cannot be written.
    """
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(header, described)
    with whole_folder(path.parent) as folder:
        checksum, rows = zlib.crc32(header.getvalue()), 0
        with (folder / path.name).open("wb") as file:
            file.write(header.getvalue())

            def append(values: Shaped[np.ndarray, "rows ..."]) -> None:
                nonlocal checksum, rows
                content = np.ascontiguousarray(values, dtype=dtype).tobytes()
                checksum, rows = zlib.crc32(content, checksum), rows + len(values)
                file.write(content)

            yield append
            if rows != shape[0]:
                raise ValueError(f"{rows} of {shape[0]} rows were written to {path}")
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        write_json(folder / _DESCRIPTION, {"about": about, "file": path.name, "bytes": size, "crc32": checksum})


def opened(
    path: Path, about: dict[str, Any], shape: tuple[int, ...], dtype: np.dtype
) -> tuple[Shaped[np.ndarray, "rows ..."] | None, str]:
    """The array, mapped from disk, or None and the reason why it must be written (again).

    Raises:
        DataError: the folder holds what is not ours to overwrite, or cannot be read.
    """
    description = path.parent / _DESCRIPTION
    try:
        if not path.parent.exists():
            return None, f"{NOTHING}{_nearest(path.parent.parent, about)}"
        if not description.exists():
            raise DataError(
                f"{path.parent} has no {_DESCRIPTION}, so it is no teacher cache. Remove it, or choose another folder."
            )
        try:
            found = json.loads(description.read_text())
            its, size, checksum = found["about"], int(found["bytes"]), int(found["crc32"])
        except (ValueError, KeyError, TypeError):
            return None, f"{description} is damaged"
        if its != about:
            raise DataError(
                f"{description} describes other outputs ({_differences(its, about)}): the folder was copied or edited. "
                "Remove it, or choose another folder."
            )
        if not path.exists():
            return None, f"{path} is gone"
        if (there := path.stat().st_size) != size:
            return None, f"{path} is truncated or grown: {there} of {size} bytes"
        # CRC-32 finds every flipped bit and every burst of up to 32; nobody forges a cache.
        if _crc32(path) != checksum:
            return None, f"{path} is damaged: its checksum differs"
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"Cannot read the teacher cache at {path.parent}: {error.strerror or error}.") from error
    if values.shape != shape or values.dtype != dtype:
        return None, f"{path} holds {list(values.shape)} {values.dtype} instead of {list(shape)} {dtype}"
    return values, ""


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_READ):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _nearest(folder: Path, about: dict[str, Any]) -> str:
    """What is kept of the same layer, if anything is, and what it differs in: the usual surprise."""
    closest: list[str] = []
    for description in folder.glob(f"*/{_DESCRIPTION}"):
        try:
            its = json.loads(description.read_text())["about"]
            different = [key for key in about if its.get(key) != about[key]]
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            continue
        if its.get("layer") == about.get("layer") and (not closest or len(different) < len(closest)):
            closest = different
    return f" for these; what is there differs in: {', '.join(closest)}" if closest else ""


def _differences(its: Any, about: dict[str, Any]) -> str:
    if not isinstance(its, dict):
        return "not a description"
    return ", ".join(f"{key} {its.get(key)!r} instead of {about[key]!r}" for key in about if its.get(key) != about[key])
