"""A torchvision that cannot be imported, kept from those who do without it where it is missing."""

import contextlib
import sys
from collections.abc import Iterator

from kantor.core.optional import BROKEN


@contextlib.contextmanager
def torchvision_unseen() -> Iterator[None]:
    """Let torchvision seem not to be installed where it is and its import fails, as beside a torch not built for it.

    transformers imports it wherever it is installed, and falls over it; its networks need nothing of it.
    """
    broken = False
    try:
        import torchvision  # noqa: F401  # pyright: ignore[reportMissingImports]
    except BROKEN:
        broken = "torchvision" not in sys.modules
    if broken:
        sys.modules["torchvision"] = None  # type: ignore[assignment]  # so that importing it says that there is none
    try:
        yield
    finally:
        if broken:
            del sys.modules["torchvision"]
