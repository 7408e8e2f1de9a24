"""How many processors there are for us."""

import contextlib
import os


def cores() -> int:
    """How many processors this process may use: less than there are, in a container or under a batch system."""
    with contextlib.suppress(AttributeError):  # Linux alone counts them
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
