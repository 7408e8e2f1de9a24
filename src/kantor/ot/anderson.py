"""Anderson's acceleration of Sinkhorn's sweeps (Anderson 1965; Walker and Ni 2011, type II).

A sweep maps logarithms of column scalings ``x`` to ``y``. The last few differences of ``y`` and of the residual
``y - x`` tell which combination leaves the least residual; the next ``x`` is that combination of ``y``. It costs a few
products of vectors beside a sweep and sees the spectrum about as conjugate gradients do, until the modes that are left
outnumber what it remembers.
"""

from types import ModuleType

import numpy as np

from kantor.ot.kernel import Array
from kantor.ot.rates import STEP_LIMIT

MEMORY = 5
"""Differences remembered; more gains little until many more, when Newton steps are the better way."""

ASTRAY = 2.0
"""A step that multiplies the error by more was led by differences that no longer hold."""

RIDGE = 1e-12
"""A direction is damped by this share of its own size."""


class Anderson:
    """The memory of one problem, ``[m]``, or of a batch, ``[problems, m]``, each by itself.

    Args:
        xp: ``numpy`` or ``torch``.
        masses: float64 column masses; residuals are measured in the norm that they weigh.
    """

    def __init__(self, xp: ModuleType, masses: Array):
        self.xp = xp
        self.weight = xp.sqrt(masses)
        size = (*masses.shape[:-1], MEMORY, masses.shape[-1])
        if xp is np:
            self.residuals, self.images = np.zeros(size), np.zeros(size)
            self.gram = np.zeros((*size[:-1], MEMORY))
            identity = np.eye(MEMORY)
        else:
            self.residuals, self.images = masses.new_zeros(size), masses.new_zeros(size)
            self.gram = masses.new_zeros((*size[:-1], MEMORY))
            identity = xp.eye(MEMORY, dtype=masses.dtype, device=masses.device)
        self.damping, self.least = 1.0 + RIDGE * identity, 1e-300 * identity
        self.count = 0
        self.last: tuple[Array, Array] | None = None

    def mix(self, x: Array, y: Array) -> Array:
        """The logarithms to go on from, after a sweep from ``x`` has given ``y``."""
        xp = self.xp
        residual = (y - x) * self.weight
        last, self.last = self.last, (residual, y)
        if last is None:
            return y
        k = self.count % MEMORY
        self.count += 1
        new = residual - last[0]
        self.residuals[..., k, :] = new
        self.images[..., k, :] = y - last[1]
        h = min(self.count, MEMORY)
        residuals, gram = self.residuals[..., :h, :], self.gram[..., :h, :h]
        self.gram[..., k, :h] = row = xp.matmul(residuals, new[..., None])[..., 0]
        self.gram[..., :h, k] = row
        # Each direction is damped by its own size, since differences shrink by orders from first to last; what has been
        # forgotten is zero and takes no part.
        system = gram * self.damping[:h, :h] + self.least[:h, :h]
        share = xp.linalg.solve(system, xp.matmul(residuals, residual[..., None]))
        step = xp.matmul(share.swapaxes(-1, -2), self.images[..., :h, :])[..., 0, :]
        # Residuals that hardly differ say nothing of where they end. One look at all problems is mostly enough.
        size = abs(step)
        if not bool(size.max() <= STEP_LIMIT):
            step = xp.where(xp.amax(size, -1)[..., None] <= STEP_LIMIT, step, 0.0)
        return y - step

    def forget(self, which: Array) -> None:
        """Start anew for these problems of a batch: the next step is a plain sweep."""
        self.residuals[which], self.images[which], self.gram[which] = 0.0, 0.0, 0.0

    def keep(self, which: Array) -> None:
        """Drop every problem but these."""
        self.weight, self.residuals, self.images = self.weight[which], self.residuals[which], self.images[which]
        self.gram = self.gram[which]
        self.last = None if self.last is None else (self.last[0][which], self.last[1][which])
