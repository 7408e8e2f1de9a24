"""L2-SP: stay near the weights one starts from (Li, Grandvalet & Davoine, arXiv 1802.01483)."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.errors import ConfigError, ShapeError
from kantor.losses.penalty import WeightPenalty
from kantor.losses.settings import not_negative


def l2_sp(
    shared: Iterable[tuple[Tensor, Tensor]], new: Iterable[Tensor], *, alpha: float = 0.01, beta: float = 0.01
) -> Float[Tensor, ""]:
    """``alpha/2 * sum of ||w - w0||^2 over shared weights + beta/2 * sum of ||w||^2 over new ones``.

    Args:
        shared: pairs (weight, its starting point) of equal shapes.
        new: weights without a starting point, such as the classifier of a new task.
        alpha: strength towards the starting point.
        beta: strength towards zero.

    Raises:
        ShapeError: a weight has another shape than its starting point.
        ConfigError: there are no weights.
    """
    terms = []
    for w, start in shared:
        if w.shape != start.shape:
            raise ShapeError(f"l2_sp: a weight {tuple(w.shape)} cannot have started from one {tuple(start.shape)}.")
        terms.append(alpha / 2 * (w - start.detach()).square().sum())
    terms += [beta / 2 * w.square().sum() for w in new]
    if not terms:
        raise ConfigError("l2_sp is a penalty on weights, and was given none.")
    return torch.stack(terms).sum()


class L2SP(WeightPenalty):
    """:func:`l2_sp` on all of a network's parameters, biases and batch norm's included, with weight 1.

    A parameter is shared when ``source`` has one of its name and shape, else new. The defaults .01 and .01 are
    those of the Transfer-Learning-Library and of DELTA's authors; the L2-SP paper tunes both. The optimiser's own
    weight decay would pull to zero what this holds elsewhere: a study sets it to 0 for the student, your own loop must.

    The starting point is kept in the state dict (as much memory as the shared weights), so a resumed run compares
    with the same one.
    """

    name: ClassVar = "l2_sp"
    paper: ClassVar = "arXiv 1802.01483"
    default_weight: ClassVar = 1.0

    def __init__(self, alpha: float = 0.01, beta: float = 0.01) -> None:
        super().__init__()
        not_negative(self.name, alpha=alpha, beta=beta)
        self.alpha, self.beta = alpha, beta
        self.shared: list[str] = []
        self.new: list[str] = []

    def build(self, student: nn.Module, source: Mapping[str, Tensor]) -> None:
        """Copy the starting point of every parameter that ``source`` has in the student's shape."""
        self.start = nn.Module()
        self.shared, self.new = [], []  # a check that was refused may have built before
        for name, parameter in student.named_parameters():
            if name in source and source[name].shape == parameter.shape:
                self.shared.append(name)
                start = source[name].detach().to(parameter, copy=True)
                self.start.register_buffer(_key(name), start)
            else:
                self.new.append(name)
        if not self.shared:
            raise ShapeError(
                f"l2_sp holds a student to the weights it started from, but none of its parameters "
                f"({_some(student)}) has its name and shape among the source's ({_some(source)}). The student must "
                "be of the source's architecture."
            )

    def forward(self, student: nn.Module) -> Float[Tensor, ""]:
        """See :func:`l2_sp`."""
        weights = dict(student.named_parameters())
        shared = ((weights[name], self.start.get_buffer(_key(name))) for name in self.shared)
        return l2_sp(shared, (weights[name] for name in self.new), alpha=self.alpha, beta=self.beta)

    def settings(self) -> dict[str, Any]:
        """Both strengths."""
        return {"alpha": self.alpha, "beta": self.beta}


def _key(name: str) -> str:
    # A buffer's name must hold no dot.
    return name.replace(".", "/")


def _some(tensors: nn.Module | Mapping[str, Tensor]) -> str:
    items = list(tensors.named_parameters() if isinstance(tensors, nn.Module) else tensors.items())
    shown = [f"{name} {tuple(x.shape)}" for name, x in items[:3]]
    return ", ".join(shown) + (", ..." if len(items) > 3 else "") if shown else "none"
