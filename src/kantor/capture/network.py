"""The one place where a network is called, and the one where what it returned is read."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kantor.capture.hooks import LOGITS, capture
from kantor.capture.layout import logits_of
from kantor.capture.positions import ENDS
from kantor.core.errors import ConfigError, DataError, ShapeError
from kantor.core.inputs import Inputs, changed, samples_in, shown, tensors_of


def call(network: nn.Module, inputs: Inputs) -> Any:
    """What the network returns for its inputs: a tensor is its first argument, a mapping its keyword arguments, but for
    what only says where tokens lie.

    Real numbers are given to it in the dtype of its own parameters; integers and truth values stay as they are.

    Raises:
        ConfigError: it does not take the arguments that a mapping names.
    """
    real = next((x.dtype for x in tensors_of(inputs) if x.is_floating_point()), None)
    if real is not None:
        dtype = next((p.dtype for p in network.parameters() if p.is_floating_point()), real)
        # Without the condition an exported program would hold the cast.
        inputs = changed(inputs, lambda x: x.to(dtype) if x.is_floating_point() and x.dtype != dtype else x)
    if isinstance(inputs, Tensor):
        return network(inputs)
    inputs = {name: x for name, x in inputs.items() if name != ENDS}
    try:
        return network(**inputs)
    except TypeError as error:
        _refuse_arguments(network, inputs, error)
        raise


def read(network: nn.Module, inputs: Inputs, layers: Iterable[str], *, name: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Run the network once, and read its logits and the outputs of its layers.

    Where layers beside the logits are read, compiled parts of the network run uncompiled: compiled code has no hooks.

    Args:
        network: any module, for which :func:`~kantor.capture.layout.logits_of` finds the logits.
        inputs: a batch of inputs, a tensor or a mapping of tensors.
        layers: module paths, ``logits`` or ``penultimate``.
        name: whose outputs they are, for the message: ``the student``.

    Returns:
        The logits, and by path each layer's output, as :func:`~kantor.capture.capture` gives it.

    Raises:
        ConfigError: there is no such layer, or it did not run; or the network does not take such inputs.
        ShapeError: the logits cannot be told from what the network returns, or a layer's output cannot be read; or
            a batch norm in train mode is given a single value.
        DataError: images are whole numbers, which the network does not take.
    """
    layers, samples = tuple(layers), samples_in(inputs)
    inside = [layer for layer in layers if layer != LOGITS]
    if not inside:
        logits = logits_of(_run(network, inputs, name), name, batch=samples)
        return logits, dict.fromkeys(layers, logits)
    with capture(network, inside) as taken:
        logits = logits_of(_run(network, inputs, name), name, batch=samples)
    return logits, {layer: logits if layer == LOGITS else taken[layer] for layer in layers}


def _run(network: nn.Module, inputs: Inputs, name: str) -> Any:
    try:
        return call(network, inputs)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ShapeError(
            f"A batch norm of {name} cannot train on one value a channel: this batch is {shown(inputs)}. Give batches "
            "of two samples or more (of a last, smaller one: DataLoader(..., drop_last=True)), or freeze that layer."
        ) from error
    except RuntimeError as error:
        if _pixels_as_numbers(inputs) is None:
            raise
        raise DataError(
            f"{name[:1].upper()}{name[1:]} cannot take {_pixels_as_numbers(inputs)}: pixels that are whole numbers are "
            "made real ones before, as x.float() / 255. (What it said: "
            f"{' '.join(str(error).split())[:200]})"
        ) from error


def _pixels_as_numbers(inputs: Inputs) -> str | None:
    """Type and shape of a tensor that looks like images in whole numbers; None where there is none."""
    for x in tensors_of(inputs):
        if not (x.is_floating_point() or x.is_complex()) and (x.ndim > 3 or (x.dtype == torch.uint8 and x.ndim > 1)):
            return f"{str(x.dtype).removeprefix('torch.')} of {list(x.shape)}"
    return None


def _refuse_arguments(network: nn.Module, inputs: Mapping[str, Tensor], error: TypeError) -> None:
    """Say it where the network's forward has no such arguments, or wants others.

    Raises:
        ConfigError: so it is.
    """
    forward = inspect.signature(network.forward)
    try:
        forward.bind(**inputs)
    except TypeError as wrong:
        raise ConfigError(
            f"{type(network).__name__} cannot be called with {', '.join(inputs)}: {wrong}. It takes "
            f"{', '.join(forward.parameters)}. Leave out what it does not take; where student and teacher take "
            "different things, give each its own: {'student': {...}, 'teacher': {...}, 'labels': ...}."
        ) from error
