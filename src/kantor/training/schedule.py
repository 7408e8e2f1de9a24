"""Learning rate as a function of progress, so that a resumed run needs no scheduler state."""

import math
from typing import Literal

Schedule = Literal["onecycle", "cosine", "step", "constant"]


def learning_rate(peak: float, schedule: Schedule, progress: float, warmup: float) -> float:
    """The learning rate once ``progress`` (0 to 1) of the steps is done.

    ``onecycle`` and ``cosine`` fall to 0 along half a cosine; ``step`` falls tenfold at 62.5, 75 and 87.5 % (the CRD
    benchmark's 150, 180 and 210 of 240 epochs); ``constant`` stays. Each rises from a 25th of the peak over the first
    ``warmup`` share of training; ``onecycle`` is ``cosine`` with a warm-up of at least 30 %.
    """
    warmup = max(warmup, 0.3) if schedule == "onecycle" else warmup
    if progress < warmup:
        return peak * (1 / 25 + (1 - 1 / 25) * progress / warmup)
    if schedule == "constant":
        return peak
    if schedule == "step":
        return peak * 0.1 ** sum(progress >= at for at in (0.625, 0.75, 0.875))
    return peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2
