"""Transport over a few pairs of a large problem: a matrix of all pairs is never formed."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import csr_array

from kantor.core.errors import ConfigError, NonFiniteError, ShapeError
from kantor.ot.problem import check_positive

_FAR = 50.0
"""Scalings beyond ``exp`` of it are absorbed into the kernel, long before float64 ends."""


@dataclass(frozen=True)
class Pairs:
    """The pairs that mass may take: row ``rows[k]`` with column ``columns[k]``.

    Args:
        rows: of each pair; pairs are in order of rows, then of columns, and none comes twice.
        columns: of each pair.
        shape: how many rows and columns there are.

    Raises:
        ShapeError: they are not in order, or not of these numbers.
    """

    rows: Int64[np.ndarray, " pairs"]
    columns: Int64[np.ndarray, " pairs"]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        n, m = self.shape
        key = self.rows * m + self.columns
        inside = len(key) == 0 or (
            min(self.rows.min(), self.columns.min()) >= 0 and self.rows.max() < n and self.columns.max() < m
        )
        if len(self.rows) != len(self.columns) or not inside or (np.diff(key) <= 0).any():
            raise ShapeError(
                f"{len(self.rows)} pairs of {n} rows and {m} columns must be in order and each there once: make them "
                "with Pairs.of."
            )

    @classmethod
    def of(
        cls, rows: Int64[np.ndarray, " given"], columns: Int64[np.ndarray, " given"], shape: tuple[int, int]
    ) -> "Pairs":
        """Those given, in order and each once."""
        key = np.sort(np.asarray(rows, np.int64) * shape[1] + np.asarray(columns, np.int64))
        key = key[np.diff(key, prepend=-1) > 0]  # np.unique takes ten times as long
        return cls(key // shape[1], key % shape[1], shape)

    def __len__(self) -> int:
        return len(self.rows)

    def matrix(self, values: Float64[np.ndarray, " pairs"]) -> csr_array:
        """A sparse matrix of these values."""
        starts = np.searchsorted(self.rows, np.arange(self.shape[0] + 1))
        return csr_array((values, self.columns, starts), shape=self.shape)

    def place(self, rows: Int64[np.ndarray, " asked"], columns: Int64[np.ndarray, " asked"]) -> np.ndarray:
        """Which pair each of the asked is; -1 for one that is not among these."""
        key, asked = self.rows * self.shape[1] + self.columns, rows * self.shape[1] + columns
        if not len(key):
            return np.full(len(asked), -1)
        at = np.searchsorted(key, asked).clip(max=len(key) - 1)
        return np.where(key[at] == asked, at, -1)


@dataclass(frozen=True)
class SparseTransport:
    """The result of :func:`on_pairs`. Names as in ``Transport``."""

    pairs: Pairs
    cost: Float64[np.ndarray, " pairs"]
    a: Float64[np.ndarray, " n"]
    b: Float64[np.ndarray, " m"]
    epsilon: float
    potentials: tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " m"]]
    iterations: int
    converged: bool
    residual: float
    """How far the potentials moved in the last sweep, over epsilon: 0 at the optimum."""

    @cached_property
    def plan(self) -> Float64[np.ndarray, " pairs"]:
        """The mass of each pair."""
        f, g = self.potentials
        rows, columns = self.pairs.rows, self.pairs.columns
        exponents = (f[rows] + g[columns] - self.cost) / self.epsilon
        return self.a[rows] * self.b[columns] * np.exp(np.minimum(exponents, 700.0))

    @property
    def marginals(self) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " m"]]:
        """How much mass each row sends, and each column takes."""
        n, m = self.pairs.shape
        return (
            np.bincount(self.pairs.rows, self.plan, minlength=n),
            np.bincount(self.pairs.columns, self.plan, minlength=m),
        )

    @property
    def matched(self) -> tuple[float, float]:
        """The share of the rows' mass, and of the columns', that found a partner."""
        sent, taken = self.marginals
        return (
            float(np.minimum(sent, self.a).sum() / self.a.sum()),
            float(np.minimum(taken, self.b).sum() / self.b.sum()),
        )


def on_pairs(
    pairs: Pairs,
    cost: Float64[np.ndarray, " pairs"],
    a: Float64[np.ndarray, " n"],
    b: Float64[np.ndarray, " m"],
    *,
    epsilon: float,
    rho: float | tuple[float, float] = math.inf,
    tol: float = 1e-6,
    max_iterations: int = 2_000,
) -> SparseTransport:
    """The minimum over plans ``P >= 0`` on the pairs alone of
    ``<P, C> + epsilon KL(P | a b^T) + rho_a KL(P 1 | a) + rho_b KL(P^T 1 | b)``.

    That is :func:`kantor.ot.unbalanced` (:func:`kantor.ot.solve` where rho is infinite) with an infinite cost
    elsewhere. Sweeps run in float64 on one thread, so the numbers are the same everywhere; scalings that grow are
    absorbed into the kernel. A row or column without a pair keeps its mass, whatever rho: see
    :attr:`SparseTransport.matched`.

    Args:
        pairs: where mass may go.
        cost: of each pair.
        a: masses of the rows, 0 or more.
        b: masses of the columns.
        epsilon: the regularisation, in the units of the cost.
        rho: what a unit of mass without a partner costs; ``(rho_a, rho_b)`` for each side, infinite to impose it. With
            pairs left out it may be impossible to impose both: the result is then not ``converged``.
        tol: largest move of a potential in a sweep, over epsilon, at which it is done.
        max_iterations: sweeps after which it is given up.

    Raises:
        ShapeError, NonFiniteError, ConfigError: sizes differ; a number is not finite, or a mass negative; a setting is
            not positive.
    """
    rho_a, rho_b = rho if isinstance(rho, tuple) else (rho, rho)
    for name, value in (("epsilon", epsilon), ("tol", tol), ("max_iterations", max_iterations)):
        check_positive(name, value)
    if not (rho_a > 0 and rho_b > 0):
        raise ConfigError(f"rho must be positive on both sides; it is {rho}.")
    _check(pairs, cost, a, b)
    f, g, kernel = _begin(pairs, cost, epsilon)
    kappa_a, kappa_b = (1.0 if math.isinf(r) else r / (r + epsilon) for r in (rho_a, rho_b))
    base_f, base_g = f, g
    has_row, has_column = _has_pairs(pairs)
    iterations, residual = 0, math.inf
    while iterations < max_iterations and residual > tol:
        scaled = b * np.exp((g - base_g) / epsilon)
        new_f = _potential(kernel @ scaled, base_f, kappa_a, epsilon, has_row & (a > 0))
        scaled = a * np.exp((new_f - base_f) / epsilon)
        new_g = _potential(kernel.T @ scaled, base_g, kappa_b, epsilon, has_column & (b > 0))
        shift = _translation(a, new_f, rho_a, b, new_g, rho_b)
        new_f, new_g = new_f + shift, new_g - shift
        residual = max(np.abs(new_f - f).max(initial=0.0), np.abs(new_g - g).max(initial=0.0)) / epsilon
        f, g, iterations = new_f, new_g, iterations + 1
        if max(np.abs(f - base_f).max(initial=0.0), np.abs(g - base_g).max(initial=0.0)) > _FAR * epsilon:
            base_f, base_g, kernel = f, g, _kernel(pairs, cost, f, g, epsilon)
    return SparseTransport(pairs, cost, a, b, epsilon, (f, g), iterations, bool(residual <= tol), float(residual))


def _check(pairs: Pairs, cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    if cost.shape != (len(pairs),) or (len(a), len(b)) != pairs.shape:
        raise ShapeError(
            f"{len(pairs)} pairs of {pairs.shape[0]} rows and {pairs.shape[1]} columns have a cost each and a mass for "
            f"every row and column; given are {cost.shape}, {a.shape} and {b.shape}."
        )
    for name, numbers in (("cost", cost), ("mass of rows", a), ("mass of columns", b)):
        if not np.isfinite(numbers).all():
            raise NonFiniteError(
                f"The {name} holds what is not finite, first at {int(np.argmin(np.isfinite(numbers)))}."
            )
    if min(a.min(initial=0.0), b.min(initial=0.0)) < 0 or not (a.sum() > 0 and b.sum() > 0):
        raise NonFiniteError("Masses are 0 or more, and something has to be moved.")


def _has_pairs(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    n, m = pairs.shape
    return np.bincount(pairs.rows, minlength=n) > 0, np.bincount(pairs.columns, minlength=m) > 0


def _begin(pairs: Pairs, cost: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray, csr_array]:
    """Potentials at which every row and column has a pair of exponent 0: nothing underflows, however small epsilon."""
    f, g = np.full(pairs.shape[0], np.inf), np.full(pairs.shape[1], np.inf)
    np.minimum.at(f, pairs.rows, cost)
    f[np.isinf(f)] = 0.0
    np.minimum.at(g, pairs.columns, cost - f[pairs.rows])
    g[np.isinf(g)] = 0.0
    return f, g, _kernel(pairs, cost, f, g, epsilon)


def _kernel(pairs: Pairs, cost: np.ndarray, f: np.ndarray, g: np.ndarray, epsilon: float) -> csr_array:
    return pairs.matrix(np.exp(np.minimum((f[pairs.rows] + g[pairs.columns] - cost) / epsilon, 700.0)))


def _potential(sums: np.ndarray, base: np.ndarray, kappa: float, epsilon: float, there: np.ndarray) -> np.ndarray:
    """``-kappa epsilon log sum_j b_j exp((g_j - C_ij) / epsilon)``; as it was where there is nothing to sum."""
    there = there & (sums > 0)
    found = kappa * (base - epsilon * np.log(np.where(there, sums, 1.0)))
    return np.where(there, found, base)


def _translation(a: np.ndarray, f: np.ndarray, rho_a: float, b: np.ndarray, g: np.ndarray, rho_b: float) -> float:
    """The constant to add to f and take from g at which the dual is largest, see :mod:`kantor.ot.unbalanced`."""
    if math.isinf(rho_a) or math.isinf(rho_b):
        return 0.0
    low_f, low_g = f.min(initial=0.0), g.min(initial=0.0)
    left = math.log((a * np.exp(-(f - low_f) / rho_a)).sum()) - low_f / rho_a
    right = math.log((b * np.exp(-(g - low_g) / rho_b)).sum()) - low_g / rho_b
    return rho_a * rho_b / (rho_a + rho_b) * (left - right)
