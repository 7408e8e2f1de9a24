"""Gates on a network's units: what a unit passes on, times a number between 0 and 1."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from kantor.capture.layout import logits_of
from kantor.carry.operations import Followed
from kantor.carry.units import Axis, Factor, expanded, leaves, size
from kantor.core.errors import ConfigError
from kantor.core.modes import modes_kept
from kantor.losses import KD
from kantor.ot import topk

Gates = Mapping[Factor, Float[Tensor, " units"]]


def gated(followed: Followed, tensors: Mapping[str, Tensor], gates: Gates) -> dict[str, Tensor]:
    """The parameters in which a gate's units are added up, or multiplied with each other, with the gates upon them.

    It is as if every unit's output were multiplied by its gate wherever a layer reads it; a unit with a gate of 0 is
    read by nobody. (What normalises a layer's units together, as layer norm, still counts it.) Where units are
    multiplied with each other, as queries and keys, each side has the root of the gate.

    Args:
        followed: of the network.
        tensors: its parameters, by name.
        gates: by factor; units of others pass.
    """
    scored = {factor for axis in followed.scored for factor in leaves(axis)}
    found: dict[str, Tensor] = {}
    for name, axes in followed.parameters.items():
        for dim, axis in enumerate(axes):
            # Of products, as of queries and keys, there is no parameter behind: the gate stands where they are made.
            reads = (name, dim) in followed.summed
            here = {f: gate if reads else _root(gate) for f, gate in gates.items() if reads or f in scored}
            if (gate := _along(axis, here)) is not None:
                value = found.get(name, tensors[name])
                found[name] = value * gate.to(value).reshape(-1, *(1 for _ in range(value.ndim - dim - 1)))
    return found


def _root(gate: Tensor) -> Tensor:
    return gate.clamp_min(1e-12).sqrt()  # whose derivative at 0 is infinite


def _along(axis: Axis, gates: Gates) -> Float[Tensor, " units"] | None:
    """The gates of all units on an axis; None where there are none."""
    if not any(factor in gates for factor in leaves(axis)):
        return None
    found = torch.ones(1)
    for place in expanded(axis):
        factor = place.factor
        if factor.concatenation:
            parts = [(_along(part, gates), size(part)) for part in factor.concatenation]
            here = torch.cat([torch.ones(n) if part is None else part for part, n in parts])
        else:
            here = gates.get(factor, torch.ones(factor.size))
        found = torch.kron(found, here)
    return found


def learned_scores(
    network: nn.Module,
    followed: Followed,
    keep: Mapping[Factor, int],
    batches: Sequence[Tensor],
    start: Gates,
    *,
    steps: int,
    seed: int = 0,
    numbers: bool = False,
) -> dict[Factor, Float[Tensor, " units"]]:
    """Scores by which units are worth keeping: learned by gradient, through soft masks of the ``keep`` best of them.

    The masks (:func:`kantor.ot.topk`) gate the network, and its logits are held to those of the whole network by
    :func:`kantor.losses.kd`, or by their squared distance; no label is read. Epsilon falls from 1 to .01 meanwhile, so
    that the masks end near 0 and 1. Batch normalisation uses each batch's own statistics, since those of the whole
    network do not hold.

    Args:
        network: trained.
        followed: of it.
        keep: how many units of a factor are to stay.
        batches: inputs, ``[batch, ...]``.
        start: the scores to begin with.
        steps: how many steps of Adam.
        seed: of the order of batches.
        numbers: outputs are numbers, or labels that do not exclude each other, and no classes.

    Raises:
        ConfigError: the network's outputs do not depend on any of the units.
    """
    tensors = {name: p.detach() for name, p in network.named_parameters(remove_duplicate=False)}
    scores = {factor: start[factor].detach().float().clone().requires_grad_() for factor in keep}
    optimizer = torch.optim.Adam(list(scores.values()), lr=0.05)
    loss = nn.functional.mse_loss if numbers else KD()
    batches = [batch for batch in batches if batch.shape == batches[0].shape]  # statistics of one sample are none
    draw = torch.Generator().manual_seed(seed)
    with modes_kept(network), torch.no_grad():
        whole = [logits_of(network.eval()(batch), "the network") for batch in batches]
    with modes_kept(network), torch.enable_grad():
        _evaluate_but_normalise_by_batches(network)
        for step in range(steps):
            place = int(torch.randint(len(batches), (), generator=draw))
            epsilon = 0.01 ** (step / max(1, steps - 1))
            masks = {factor: topk(scores[factor], keep[factor], epsilon) for factor in keep}
            parameters = gated(followed, tensors, masks)
            changed = {**tensors, **parameters, **_buffers(network)}
            # What is tied is gated where it is read, and not where it is tied to.
            output = functional_call(network, changed, (batches[place],), tie_weights=False)
            value = loss(logits_of(output, "the network"), whole[place])
            optimizer.zero_grad()
            value.backward(inputs=list(scores.values()))
            if step == 0 and not any(score.grad is not None and bool(score.grad.any()) for score in scores.values()):
                raise ConfigError(
                    "What the network says does not depend on its gates, so that they cannot be learned: choose by "
                    "magnitude. A single output is a number: task regression."
                )
            optimizer.step()
    return {factor: score.detach() for factor, score in scores.items()}


def _evaluate_but_normalise_by_batches(network: nn.Module) -> None:
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()


def _buffers(network: nn.Module) -> dict[str, Any]:
    """Copies, so that what is counted in them is not the network's."""
    return {name: buffer.clone() for name, buffer in network.named_buffers()}
