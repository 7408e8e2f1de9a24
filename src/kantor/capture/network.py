"""The one place where a network is called, and the one where what it returned is read."""

from collections.abc import Iterable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from kantor.capture.hooks import LOGITS, capture
from kantor.capture.layout import logits_of
from kantor.core.errors import ShapeError


def call(network: nn.Module, x: Float[Tensor, "batch ..."]) -> Any:
    """What the network returns for ``x``, which is given to it in the dtype of its own parameters."""
    dtype = next((p.dtype for p in network.parameters() if p.is_floating_point()), x.dtype)
    # Without the condition an exported program would hold the cast.
    return network(x.to(dtype) if x.is_floating_point() and x.dtype != dtype else x)


def read(
    network: nn.Module, x: Float[Tensor, "batch ..."], layers: Iterable[str], *, name: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run the network once, and read its logits and the outputs of its layers.

    Where layers beside the logits are read, compiled parts of the network run uncompiled: compiled code has no hooks.

    Args:
        network: any module, for which :func:`~kantor.capture.layout.logits_of` finds the logits.
        x: a batch of inputs.
        layers: module paths, ``logits`` or ``penultimate``.
        name: whose outputs they are, for the message: ``the student``.

    Returns:
        The logits, and by path each layer's output, as :func:`~kantor.capture.capture` gives it.

    Raises:
        ConfigError: there is no such layer, or it did not run.
        ShapeError: the logits cannot be told from what the network returns, or a layer's output cannot be read; or
            a batch norm in train mode is given a single value.
    """
    layers = tuple(layers)
    inside = [layer for layer in layers if layer != LOGITS]
    if not inside:
        logits = logits_of(_run(network, x, name), name, batch=len(x))
        return logits, dict.fromkeys(layers, logits)
    with capture(network, inside) as taken:
        logits = logits_of(_run(network, x, name), name, batch=len(x))
    return logits, {layer: logits if layer == LOGITS else taken[layer] for layer in layers}


def _run(network: nn.Module, x: Tensor, name: str) -> Any:
    try:
        return call(network, x)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ShapeError(
            f"A batch norm of {name} cannot train on one value a channel: this batch is {tuple(x.shape)}. Give batches "
            "of two samples or more, or freeze that layer."
        ) from error
