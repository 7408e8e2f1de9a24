"""Joining the processes that torchrun starts, and leaving them without an abort."""

import contextlib
import gc
import os
from collections.abc import Iterator
from datetime import timedelta

import torch.distributed as dist
from accelerate import PartialState


@contextlib.contextmanager
def joined_processes(cpu: bool) -> Iterator[None]:
    """With several processes, join them for the time of a study; with one, or where they are joined, do nothing.

    Raises:
        RuntimeError: torchrun started several processes and they did not find each other.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    # The main process may train a teacher first; the others wait for it.
    PartialState(cpu=cpu, timeout=timedelta(hours=24))
    if dist.get_world_size() != int(os.environ["WORLD_SIZE"]):
        raise RuntimeError(f"{os.environ['WORLD_SIZE']} processes were started and {dist.get_world_size()} joined.")
    try:
        yield
    finally:
        # torch aborts at exit if a data-parallel wrapper outlives its process group.
        gc.collect()
        dist.destroy_process_group()
