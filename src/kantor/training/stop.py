"""SIGTERM and Ctrl-C end training at the next step, with a checkpoint."""

import signal
import threading
from types import FrameType

import torch

from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import KantorError


class Interrupted(KantorError):
    """Training was asked to stop; what it had done is saved."""


class StopSignal:
    """While open, SIGTERM and SIGINT set a flag instead of ending the process. A second SIGINT ends it at once."""

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def asked(self, device: torch.device) -> bool:
        """Whether any process was asked to stop; the same answer on every rank, so that none waits for another."""
        if world_size() == 1:
            return self._asked
        return bool(sum_over_ranks(torch.tensor(float(self._asked), device=device)) > 0)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True
