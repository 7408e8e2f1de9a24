"""JSON that says its own digest, so that a value which was changed or damaged since is not believed."""

import hashlib
import json
from pathlib import Path
from typing import Any

from kantor.core.errors import DataError
from kantor.core.files import write_json
from kantor.core.reading import DAMAGED, read_json

_DIGEST = "digest"
"""The key that the digest stands under, beside the content's own."""
_MEASURED = ("seconds", "peak_memory")
"""Not part of the digest: these differ between two runs that are otherwise equal to the bit, and so would it."""


def write_sealed_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``, which has no key ``digest``, as :func:`kantor.core.files.write_json` does, with its digest."""
    assert _DIGEST not in content
    write_json(path, {**content, _DIGEST: _digest(content)})


def read_sealed_json(path: Path, shape: Any = dict[str, Any], remedy: str = DAMAGED) -> Any:
    """The content as it was written; an empty mapping where the file is not there.

    What has no digest was written by an earlier version, and is taken as it is.

    Args:
        path, shape, remedy: see :func:`kantor.core.reading.read_json`.

    Raises:
        DataError: it is not what was written, or see :func:`kantor.core.reading.read_json`.
    """
    return unsealed(read_json(path, shape, remedy), path, remedy)


def unsealed(sealed: dict[str, Any], path: Path, remedy: str = DAMAGED) -> dict[str, Any]:
    """The content of what was read from a file, without its digest.

    Raises:
        DataError: it is not what was written.
    """
    content = {key: value for key, value in sealed.items() if key != _DIGEST}
    digest = sealed.get(_DIGEST)
    if digest is not None and digest != _digest(content):
        raise DataError(f"{path} was changed or damaged since it was written. Bring it back from a copy. Or: {remedy}")
    return content


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of the content as JSON gives it back, in any order of keys."""
    lasting = {key: value for key, value in content.items() if key not in _MEASURED}
    text = json.dumps(json.loads(json.dumps(lasting, allow_nan=False)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
