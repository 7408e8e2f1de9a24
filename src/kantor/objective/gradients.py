"""How hard each term pulls at the student, and which pull at nothing."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from kantor.capture.positions import LayerOutput
from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import ConfigError
from kantor.objective.terms import Bound


def gradient_shares(terms: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> dict[str, float]:
    """Norm of each weighted term's gradient over the sum of all their norms; the terms' graph is kept."""
    norms = {name: gradient_norm(value, parameters) for name, value in terms.items()}
    total = sum(norms.values()) or 1.0
    return {name: norm / total for name, norm in norms.items()}


def gradient_norm(value: Float[Tensor, ""], parameters: Sequence[Tensor]) -> float:
    """Norm of the gradient; of the mean over processes, which is the global batch's gradient.

    Raises:
        ConfigError: the parameters lie in shards, of which the graph knows nothing.
    """
    if not value.requires_grad:
        return 0.0
    if any(hasattr(p, "full_tensor") for p in parameters):  # a DTensor, whose module takes long to import
        raise ConfigError(
            "The student's layers lie in shards of their own (fully_shard), which hide the gradients by which weights "
            "are limited. Give every term its weight as a number; or shard the objective alone, as one."
        )
    grads = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    if world_size() > 1:
        grads = [sum_over_ranks(torch.cat([g.flatten().double() for g in grads])) / world_size()]
    norms = torch.stack([torch.linalg.vector_norm(g, dtype=torch.float64) for g in grads])
    return torch.linalg.vector_norm(norms).item()  # one transfer: a GPU waits once a term, not once a parameter


def reached(value: Float[Tensor, ""], parameters: Sequence[Parameter]) -> list[Parameter]:
    """Those of ``parameters`` that the value depends on; the graph is kept."""
    if not (value.requires_grad and parameters):
        return []
    grads = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return [parameter for parameter, grad in zip(parameters, grads, strict=True) if grad is not None]


def refuse_without_gradient(
    terms: Mapping[str, Tensor],
    bound: Iterable[Bound],
    features: Mapping[str, LayerOutput],
    task_weight: float,
    parameters: Sequence[Parameter],
) -> None:
    """Refuse what would train nothing of the student.

    Args:
        terms: values of a forward pass, ``task`` among them where there is one.
        bound: the terms that compare layers.
        features: the student's layers in that pass.
        task_weight: the task's weight.
        parameters: what of the student is trained.

    Raises:
        ConfigError: a term with a weight, or the task, does not reach the student's parameters; names term and layer.
    """
    if any(map(_reentrant, terms.values())):
        raise ConfigError(
            "The student runs under reentrant activation checkpointing, which hides from a term the gradient of layers "
            "inside it, and in which no term's gradient can be told. Use the other kind: "
            "torch.utils.checkpoint.checkpoint(..., use_reentrant=False); in transformers "
            "gradient_checkpointing_enable(gradient_checkpointing_kwargs={'use_reentrant': False})."
        )
    if task_weight and "task" in terms and not reached(terms["task"], parameters):
        raise ConfigError(
            "The task loss has no gradient in the student: its logits are detached, or computed under torch.no_grad()."
        )
    for b in bound:
        if not reached(terms[b.name], parameters) and (b.weight.value or b.weight.end):
            layers = ", ".join(without_gradient(b, features) or b.student_layers)
            raise ConfigError(
                f"Term {b.name} would train nothing at the student's {layers}: no gradient goes from there to a "
                "parameter. All before it is frozen (requires_grad=False, `freeze`), or it runs under torch.no_grad() "
                "or reentrant checkpointing, or is detached. Choose a deeper layer, or leave the term out."
            )


def without_gradient(bound: Bound, features: Mapping[str, LayerOutput]) -> list[str]:
    """The student's layers from which no gradient goes back."""
    return [layer for layer in bound.student_layers if not features[layer].values.requires_grad]


def _reentrant(value: Tensor) -> bool:
    """Whether a node of reentrant checkpointing stands in the value's graph."""
    seen, waiting = set(), [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name() == "CheckpointFunctionBackward":
            return True
        seen.add(node)
        waiting += [before for before, _ in node.next_functions]
    return False
