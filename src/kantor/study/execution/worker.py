"""A worker process: trains the students it is told of, one after another.

It is spoken to in lines of JSON: ``[method, seed, factor]`` on standard input, events on standard output. The end of
standard input means that the study is gone: the worker saves and ends, so it never outlives its study. Both are taken
away before anything of the user's runs: what a user's network prints goes to standard error, and it reads nothing.
"""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, TextIO

from kantor.core import trust
from kantor.core.errors import KantorError
from kantor.study.execution.job import Job
from kantor.study.execution.student import Workbench, use_threads
from kantor.training import Interrupted


def main(run: Path) -> None:
    """Serve tasks for the run in ``run`` until told to end."""
    tasks: queue.Queue[str | None] = queue.Queue()
    asked, told = _channels()

    def say(event: str, **content: Any) -> None:
        try:
            print(json.dumps({"event": event, **content}), file=told, flush=True)
        except BrokenPipeError:
            os._exit(1)

    def listen() -> None:
        for line in asked:
            tasks.put(line.rstrip("\n"))
        os.kill(os.getpid(), signal.SIGTERM)  # while training: a checkpoint at the next step; else the end

    threading.Thread(target=listen, daemon=True).start()
    bench = Workbench(run)
    use_threads(bench.plan.threads)
    while (task := tasks.get()) is not None:
        method, seed, factor = json.loads(task)
        try:
            bench.train(Job(bench.methods[method], seed, factor), lambda event: say("progress", **event))
            say("done")
        except Interrupted as error:
            say("interrupted", message=str(error))
            return
        except KantorError as error:
            say("error", message=str(error))
        except Exception:
            say("bug", message=traceback.format_exc())


def _channels() -> tuple[TextIO, TextIO]:
    """Standard input and output as they were given to us; in their places stand nothing and standard error."""
    asked, told = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return asked, told


if __name__ == "__main__":
    trust.allow(sys.argv[2:])
    main(Path(sys.argv[1]))
