"""How much memory training took at its peak."""

import contextlib
import re
import sys
from pathlib import Path
from typing import Literal

import torch

MemoryOf = Literal["cuda", "process"]
"""Of the GPU's allocator, or of the whole process in main memory: interpreter, libraries and data included."""


class PeakMemory:
    """The most memory in use since it was made.

    On a GPU it is what torch's allocator had given out. Elsewhere it is the process's resident memory; where the system
    cannot count anew (anything but Linux) that is since the process began, so students trained before count too.

    Args:
        device: where training runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets VmHWM

    @property
    def of(self) -> MemoryOf:
        """What is counted."""
        return "cuda" if self._device.type == "cuda" else "process"

    def bytes(self) -> int:
        """The peak so far."""
        return torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else _resident_peak()


def _resident_peak() -> int:
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii")):
            return 1024 * int(found.group(1))
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset  # pyright: ignore[reportAttributeAccessIssue]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
