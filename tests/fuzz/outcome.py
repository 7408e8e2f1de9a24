"""What an input led to: one call, watched."""

import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kantor.core.errors import KantorError

MESSAGE, ARGUMENT, ACCEPTED = "message", "argument error", "accepted"
TRACEBACK, HANG, CODE = "traceback", "hang", "code run"
OUTCOMES = (MESSAGE, ARGUMENT, ACCEPTED, TRACEBACK, HANG, CODE)
FAULTS = (TRACEBACK, HANG, CODE)


class _HangError(BaseException):
    """Not an Exception: whoever tries it again would swallow it."""


@dataclass(frozen=True)
class Outcome:
    """One of ``OUTCOMES``, and what was said."""

    kind: str
    said: str


def watched(call: Callable[[], Any], sentinel: Path, seconds: float) -> Outcome:
    """Call it, without its output, for at most so long. Code that a file or a name asked for leaves ``sentinel``."""
    heard = io.StringIO()
    try:
        with _silent(heard), _alarm(seconds):
            status = call()
        done = Outcome(MESSAGE, _last(heard)) if isinstance(status, int) and status == 2 else Outcome(ACCEPTED, "")
    except KantorError as error:
        done = Outcome(MESSAGE, str(error))
    except SystemExit as error:
        done = Outcome(ARGUMENT if error.code == 2 else ACCEPTED, _last(heard))
    except _HangError:
        done = Outcome(HANG, f"over {seconds:g} seconds at {_place()}")
    except BaseException as error:  # what a user would see as a traceback
        done = Outcome(TRACEBACK, f"{type(error).__name__}: {str(error)[:160]} at {_place()}")
    if sentinel.exists():
        sentinel.unlink()
        done = Outcome(CODE, done.said)
    return done


def _last(heard: io.StringIO) -> str:
    return heard.getvalue().strip().rpartition("\n")[2]


def _place() -> str:
    """Where it came from: the innermost line of kantor's own."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    own = [frame for frame in frames if "/src/kantor/" in frame.filename]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"


@contextlib.contextmanager
def _silent(heard: io.StringIO) -> Iterator[None]:
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        yield


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise _HangError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.environ.pop("RANK", None)
