"""Where what can be made anew is kept for the user, between runs and for all of them."""

import hashlib
import os
from pathlib import Path


def kept_beside(place: Path, kind: str, ending: str) -> Path | None:
    """The file that keeps what is known of a file or folder; None where the user has no home.

    Args:
        place: what is known of.
        kind: what is known, a folder's name.
        ending: of the file.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return home / "kantor" / kind / f"{hashlib.sha256(os.fsencode(place.resolve())).hexdigest()[:32]}{ending}"
