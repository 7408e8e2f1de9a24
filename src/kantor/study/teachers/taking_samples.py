"""A network that cannot take the data's samples is named, with their shape."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kantor.capture import call
from kantor.core.errors import ConfigError, KantorError
from kantor.core.inputs import Inputs
from kantor.core.modes import as_evaluated
from kantor.models import Model
from kantor.models.families import is_text

_OF_THE_MACHINE = ("allocate memory", "CUDA error")
"""What PyTorch says where no network is at fault."""


@contextmanager
def takes_samples(model: Model) -> Iterator[None]:
    """Say whose fault it is where a network first sees the data.

    Args:
        model: what runs inside.

    Raises:
        ConfigError: the network fails, of whatever it raises for a shape or a type that it was not made for. Where a
            device fails, or memory does not suffice, the error is left as it is.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        if any(said in str(error) for said in _OF_THE_MACHINE):
            raise
        shape = list(model.input_shape)
        what = f"up to {shape[0]} tokens" if is_text(model.input_shape) else f"the shape {shape}"
        said = " ".join(str(error).split())[:300].rstrip(".")
        raise ConfigError(
            f"{model.name} fails on samples of {what}, which are the data's: {said}. Make it for such samples; a "
            "factory may take input_shape."
        ) from error


@contextmanager
def blamed_on_samples(*networks: tuple[Model, Inputs]) -> Iterator[None]:
    """Where work with networks ends in an error of its own, look whether each takes the data's samples at all.

    Args:
        networks: that work inside, each with a few samples.

    Raises:
        ConfigError: one does not; any other error is left as it is.
    """
    try:
        yield
    except KantorError:
        raise
    except Exception:
        for model, samples in networks:
            with takes_samples(model), as_evaluated(model), torch.no_grad():
                call(model, samples)
        raise
