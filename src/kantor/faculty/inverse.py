"""Learned label costs: the cost under which transport explains which classes a teacher says for which labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor.core.errors import ConfigError
from kantor.losses import LabelCost


@dataclass(frozen=True)
class Learned:
    """A learned cost, and how well it explains samples it has not seen."""

    cost: Float[Tensor, "teacher_classes student_classes"]
    """In nats (epsilon 1); rows and columns have mean zero: 0 is what independence costs, below it is related."""
    fitted: float
    """Nats per sample by which the coupling explains the fitted samples better than independence does."""
    held_out: float | None
    """The same for held-out samples: what to judge the cost by. None where no sample was held out."""


def learned_cost(
    predictions: Float[Tensor, "samples teacher_classes"],
    labels: Int[Tensor, " samples"],
    classes: int,
    *,
    held_out: tuple[Float[Tensor, "others teacher_classes"], Int[Tensor, " others"]] | None = None,
    prior: float = 2.0,
    steps: int = 200,
) -> Learned:
    """Inverse optimal transport on the co-occurrence of the teacher's predictions and the labels.

    The joint ``J_ij = mean of p_i(x) [y = j]`` is explained as an entropic plan
    ``exp(f_i + g_j - C_ij)`` with free potentials: ``-sum J log plan + sum plan + |C|^2 / (2 prior^2 N)`` is convex in
    (C, f, g) (Ma et al., arXiv 2002.09650, with epsilon 1). The plan does not see ``C + u_i + v_j``; the Gaussian
    prior picks the C whose rows and columns sum to zero, and keeps pairs that were never seen finite.

    Args:
        predictions: the teacher's probabilities on training samples.
        labels: their classes.
        classes: how many the student has.
        held_out: samples to judge by.
        prior: standard deviation of the entries of C, in nats.
        steps: L-BFGS steps at most.

    Raises:
        ConfigError: there is no sample, or the prior is not positive.
    """
    if len(labels) == 0 or not prior > 0:
        raise ConfigError(f"A label cost is learned from at least one sample and a positive prior, not {prior}.")
    joint = _joint(predictions, labels, classes)
    a, b = joint.sum(1), joint.sum(0)
    f, g = a.clamp_min(1e-12).log(), b.clamp_min(1e-12).log()
    cost = torch.zeros_like(joint)
    variables = [x.requires_grad_() for x in (f, g, cost)]
    optimiser = torch.optim.LBFGS(
        variables,
        max_iter=steps,
        history_size=20,
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimiser.zero_grad()
        log_plan = f[:, None] + g - cost
        value = log_plan.exp().sum() - (joint * log_plan).sum() + cost.square().sum() / (2 * prior**2 * len(labels))
        value.backward()
        return value

    optimiser.step(objective)  # type: ignore[arg-type]
    with torch.no_grad():
        log_plan = f[:, None] + g - cost
        log_plan = log_plan - log_plan.logsumexp((0, 1))
        # Against independence with the same marginals: what is left is what the cost explains.
        gain = log_plan - log_plan.logsumexp(1, keepdim=True) - log_plan.logsumexp(0, keepdim=True)
        others = None if held_out is None or len(held_out[1]) == 0 else _joint(*held_out, classes)
        return Learned(
            # Exactly the prior's choice: along it the objective is nearly flat.
            (cost - cost.mean(0, keepdim=True) - cost.mean(1, keepdim=True) + cost.mean()).detach(),
            float((joint * gain).sum()),
            None if others is None else float((others * gain).sum()),
        )


def zero_and_scale(learned: Mapping[str, Float[Tensor, "_ student_classes"]]) -> tuple[float, float]:
    """The least of all entries, and their mean above it: one zero and one scale for the costs of all teachers.

    A zero for each would put a teacher that relates to nothing, whose costs are all alike, beside a perfect one.
    """
    entries = torch.cat([cost.flatten() for cost in learned.values()])
    least = entries.min().item()
    return least, max(entries.mean().item() - least, 1e-9)


def label_costs_of(learned: Mapping[str, Float[Tensor, "_ student_classes"]]) -> dict[str, LabelCost]:
    """Learned costs as label costs of mean 1, see :func:`zero_and_scale`."""
    zero, scale = zero_and_scale(learned)
    return {name: with_own(((cost - zero) / scale).float()) for name, cost in learned.items()}


def with_own(cost: Float[Tensor, "teacher_classes student_classes"]) -> LabelCost:
    """A cost across label sets, with the costs within each that debiasing needs.

    Nothing was observed within a set. The triangle inequality bounds the distance of two classes from below by the
    largest difference of their costs to a class of the other set; that bound is what we use.
    """
    return LabelCost(cost, torch.cdist(cost.T, cost.T, p=torch.inf), torch.cdist(cost, cost, p=torch.inf))


def _joint(predictions: Tensor, labels: Tensor, classes: int) -> Tensor:
    one_hot = torch.nn.functional.one_hot(labels, classes).double()
    return predictions.double().T @ one_hot / len(labels)
