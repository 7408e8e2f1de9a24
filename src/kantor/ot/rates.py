"""What an observed rate of convergence predicts, and what each kind of step costs. Shared by every engine."""

import math

LEVEL_FACTOR = 4.0
"""Epsilon falls by this factor from level to level."""

LEVEL_SPAN = 50.0
"""A cold start begins at an epsilon whose kernel spans e^-50, where sweeps converge from anywhere."""

LEVEL_TOLS = 0.3, 0.02
"""How well a level above the last is solved: only well enough to start the next. Where epsilon falls far, mass left
in the wrong part of a problem would later have to cross a gap of very many epsilons, so then better."""

NEWTON_FROM = 0.6
"""With more than this share of the mass out of place, sweeps are the better step while they move at all."""

STEP_LIMIT = 10.0
"""A Newton step moves no potential by more than this times epsilon."""

DAMPING = 0.1
"""A Newton step's Hessian is given this share of the error, times its diagonal: quadratic where it converges, and no
long way along modes so flat that float32 cannot tell them from none."""

FEW = 4.0
"""No more sweeps left than this are always the cheapest way."""

GAIN = 0.7
"""A Newton step that leaves more than this of the error has failed."""

FAILS = 4
"""Newton steps that fail so often in a row have met the dtype's rounding; a slower way takes over."""


def epsilon_levels(epsilon: float, spread: float) -> list[float]:
    """The epsilons of a cold start, largest first, for a cost whose entries lie within ``spread``."""
    values = [epsilon]
    while spread / values[0] > LEVEL_SPAN:
        values.insert(0, values[0] * LEVEL_FACTOR)
    return values


def level_tol(schedule: list[float], tol: float) -> float:
    """The marginal error to which the levels of a schedule above its last are solved."""
    return max(tol, LEVEL_TOLS[0 if len(schedule) <= 2 else 1])


def sweeps_left(error: float, before: float, tol: float, since: int = 1) -> float:
    """Sweeps until ``tol``, where ``since`` of them have brought the error from ``before`` to ``error``."""
    if not error < before:
        return math.inf
    return since * math.log(tol / error) / math.log(error / before) if before < math.inf else 0.0


def newton_iterations(error: float, before: float, tol: float, overhead: float = 1.0) -> float:
    """Iterations of conjugate gradients that a Newton step should take; 0 where more sweeps are cheaper.

    A sweep has just brought the error from ``before`` to ``error``. Conjugate gradients see the root of the rate's
    condition number; to a tenth, a step takes about 1.5 times that, and two or three steps end it.
    ``overhead`` is the cost of such an iteration over a sweep's.
    """
    rate = min(max(error / before, 1e-3), 1 - 1e-6)
    if error >= NEWTON_FROM and rate < 0.9:
        return 0.0
    sweeps_left = math.log(tol / error) / math.log(rate)
    root = (1 - rate) ** -0.5
    return 1.5 * root if sweeps_left > overhead * (3 + 2.5 * root) else 0.0


# Microseconds on one core; only their ratios matter, and an error in them costs time alone, since every way arrives.
# A call of a sweep, of an iteration of conjugate gradients and of mixing, which problems in lock step share; an entry
# of a kernel in two products and of a vector in mixing; a multiplication in a product of matrices.
_SWEEP, _GRADIENT, _MIX = 5.0, 10.0, 18.0
_ENTRY, _VECTOR, _MULTIPLY = 1.1e-4, 4.0e-3, 4.0e-5

WINDOW = 5
"""A window of so many mixed sweeps shows their rate."""

MIXED_MOST = 60
"""After so many sweeps at a level Newton steps are tried."""


def factor_worth(n: int, m: int, problems: int = 1) -> float:
    """How many iterations of conjugate gradients it costs to form and factor the dual's Hessian.

    A matrix product multiplies about ten times as fast as a matrix-vector product in memory, and each iteration calls
    some fifteen functions, which problems in lock step share.
    """
    return _factor(n, m, problems) / (_GRADIENT / problems + _ENTRY * n * m)


def mixing_from(n: int, m: int, problems: int) -> float:
    """From how many sweeps left it pays to mix them: that leaves about twice the root of their number."""
    sweep = _SWEEP / problems + _ENTRY * n * m
    return (2 * (1 + _MIX / problems / sweep)) ** 2


def mixing_to(n: int, m: int, problems: int) -> float:
    """From how many sweeps left mixing would still leave so many that Newton steps are the better way."""
    return (newton_from(n, m, problems) / 2) ** 2


def newton_from(n: int, m: int, problems: int) -> float:
    """From how many mixed sweeps left Newton steps are the better way.

    Conjugate gradients remember all that mixing forgets, and by a factor three steps or four are enough.
    """
    mixed = (_SWEEP + _MIX) / problems + _VECTOR * m + _ENTRY * n * m
    return max(10.0, min(60.0, 3.5 * _factor(n, m, problems) / mixed))


def _factor(n: int, m: int, problems: int) -> float:
    return 23.0 / problems + 2.0 + _MULTIPLY * (n * m * m + m**3 / 3)
