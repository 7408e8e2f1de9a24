"""Optimal transport on tensors: cost -> problem -> solver -> transport. ``solve`` is for everyday use."""

from kantor.ot.auto import Auto
from kantor.ot.cost import CostKind, Normaliser, cost, normalised
from kantor.ot.divergence import divergence
from kantor.ot.exact import Exact
from kantor.ot.gaussian import gaussian, gaussian_diagonal
from kantor.ot.inverse import CostForm, Inverse, inverse
from kantor.ot.moments import Moments, cost_from, moments
from kantor.ot.partial import Partial, partial
from kantor.ot.problem import Problem, problem_of
from kantor.ot.proximal import Proximal
from kantor.ot.sinkhorn import Sinkhorn
from kantor.ot.sliced import one_dimensional, sliced
from kantor.ot.solve_any import Method, solve, solver_for
from kantor.ot.solver import Solver
from kantor.ot.top_k import soft_rank, topk
from kantor.ot.transport import Potentials, Transport, plan_of
from kantor.ot.unbalanced import Unbalanced, unbalanced

__all__ = [
    "Auto",
    "CostForm",
    "CostKind",
    "Exact",
    "Inverse",
    "Method",
    "Moments",
    "Normaliser",
    "Partial",
    "Potentials",
    "Problem",
    "Proximal",
    "Sinkhorn",
    "Solver",
    "Transport",
    "Unbalanced",
    "cost",
    "cost_from",
    "divergence",
    "gaussian",
    "gaussian_diagonal",
    "inverse",
    "moments",
    "normalised",
    "one_dimensional",
    "partial",
    "plan_of",
    "problem_of",
    "sliced",
    "soft_rank",
    "solve",
    "solver_for",
    "topk",
    "unbalanced",
]
