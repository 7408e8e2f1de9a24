"""A worker process: trains the students it is told of, one after another.

It is spoken to in lines of JSON: ``[method, seed, factor]`` on standard input, events on standard output. The end of
standard input means that the study is gone: the worker saves and ends, so it never outlives its study.
"""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from kantor.core.errors import KantorError
from kantor.study.folder import Task
from kantor.study.runs import Workbench, use_threads
from kantor.training import Interrupted


def main(run: Path) -> None:
    """Serve tasks for the run in ``run`` until told to end."""
    tasks: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            tasks.put(line.rstrip("\n"))
        os.kill(os.getpid(), signal.SIGTERM)  # while training: a checkpoint at the next step; else the end

    threading.Thread(target=listen, daemon=True).start()
    bench = Workbench(run)
    use_threads(bench.plan.threads)
    while (task := tasks.get()) is not None:
        method, seed, factor = json.loads(task)
        try:
            bench.train(Task(bench.methods[method], seed, factor), lambda event: _say("progress", **event))
            _say("done")
        except Interrupted as error:
            _say("interrupted", message=str(error))
            return
        except KantorError as error:
            _say("error", message=str(error))
        except Exception:
            _say("bug", message=traceback.format_exc())


def _say(event: str, **content: Any) -> None:
    try:
        print(json.dumps({"event": event, **content}), flush=True)
    except BrokenPipeError:
        os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
