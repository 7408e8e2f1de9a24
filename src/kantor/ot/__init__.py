"""Optimal transport on tensors: cost -> problem -> solver -> transport. ``solve`` is the door for everyday use."""

from kantor.ot.auto import Auto
from kantor.ot.cost import CostKind, Normaliser, cost, normalised
from kantor.ot.door import Method, solve, solver_for
from kantor.ot.exact import Exact
from kantor.ot.moments import Moments, cost_from, moments
from kantor.ot.problem import Problem, problem_of
from kantor.ot.proximal import Proximal
from kantor.ot.sinkhorn import Sinkhorn
from kantor.ot.solver import Solver
from kantor.ot.transport import Potentials, Transport, plan_of

__all__ = [
    "Auto",
    "CostKind",
    "Exact",
    "Method",
    "Moments",
    "Normaliser",
    "Potentials",
    "Problem",
    "Proximal",
    "Sinkhorn",
    "Solver",
    "Transport",
    "cost",
    "cost_from",
    "moments",
    "normalised",
    "plan_of",
    "problem_of",
    "solve",
    "solver_for",
]
