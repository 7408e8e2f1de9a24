"""Who makes the network: kantor's built-ins, a factory of the user's, or a package that is imported only if asked."""

import copy
import importlib
import importlib.util
import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn

from kantor.capture.layout import tensor_of
from kantor.core.errors import ConfigError, ShapeError
from kantor.core.modes import as_evaluated
from kantor.core.objects import is_object
from kantor.core.optional import BROKEN, is_missing
from kantor.core.options import typed_options
from kantor.models.builtin import BUILTIN, FOR_TEXT, LANGUAGE_MODELS
from kantor.models.factories import factory_at, given_network
from kantor.models.model import Model
from kantor.models.normalise import Normalise
from kantor.models.spec import Spec


@dataclass(frozen=True)
class Built:
    """A network and what its maker knows of it.

    Attributes:
        network: from normalised samples to logits.
        num_classes: how many logits.
        class_names: what they mean, if known.
        normalise: what its pretrained weights expect; None if they expect nothing.
        size: the side of the images it expects; None if any will do.
        recipe: what else is needed to make it again, as JSON holds it, where its name alone may not do: a folder moves.
    """

    network: nn.Module
    num_classes: int
    class_names: list[str] | None = None
    normalise: Normalise | None = None
    size: int | None = None
    recipe: dict[str, Any] | None = None


_FOR_TEXT = f"{', '.join(FOR_TEXT)}, or transformers:NAME"

CLASSES = "num_classes"
"""What a factory of the user's calls the number of classes; it may also be written with ``@``."""

Factory = Callable[[int | None, tuple[int, ...], dict[str, str]], Built]
"""``(classes, input_shape, options) -> Built``. With None for the classes a network is made whose classifier has the
right name; how many it has is then read from the weights."""


def factory_of(spec: Spec, recipe: dict[str, Any] | None = None) -> Factory:
    """The maker of a family's networks; it raises ConfigError where the family's package cannot be imported.

    Args:
        spec: the model's name.
        recipe: what an earlier network of that name was made by.
    """
    if spec.family == "builtin":
        return lambda classes, shape, options: _builtin(spec, classes, shape, options)
    if spec.family == "python":
        return lambda classes, shape, options: _python(spec, classes, shape, options)
    return lambda classes, shape, options: _package(spec, classes, shape, options, recipe)


def image_shape(spec: Spec, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The input's shape where a network reads images.

    Raises:
        ConfigError: the samples are none.
    """
    if len(shape) != 3:
        samples, instead = ("texts", _FOR_TEXT) if is_text(shape) else (shape, "mlp")
        raise ConfigError(
            f"{spec.name} reads images, (channels, height, width); the samples are {samples}. Use {instead}."
        )
    return shape[0], shape[1], shape[2]


def is_text(shape: tuple[int, ...]) -> bool:
    """Whether samples of such a shape are texts, ``(tokens, vocabulary)``."""
    return len(shape) == 2


def takes(network: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether a network can run on images of a size: some cut them into windows, or halve them too often."""
    with as_evaluated(network), torch.no_grad():
        try:
            network(torch.zeros(1, *shape))
        except (RuntimeError, ValueError, AssertionError):
            return False
    return True


def side(size: Any, shape: tuple[int, int], spec: Spec) -> int | None:
    """The side of the images that a network expects; None where it expects none, or the data has it.

    Args:
        size: what its maker says: a side, height and width, or None.
        shape: height and width of the data.
        spec: the model's name.

    Raises:
        ConfigError: it is no size of an image, or no square, to which images are resized.
    """
    if size is None:
        return None
    both = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if not 1 <= len(both) <= 2 or not all(isinstance(length, int) and length >= 1 for length in both):
        raise ConfigError(f"{spec.name} is made for images of size {size!r}, which is none.")
    if (both[0], both[-1]) == shape:
        return None
    if both[0] != both[-1]:
        raise ConfigError(
            f"{spec.name} is made for images of {both[0]} x {both[1]}, and the data's are {shape[0]} x {shape[1]}. "
            "kantor resizes images to squares: give data of that size."
        )
    return both[0]


def _builtin(spec: Spec, classes: int | None, shape: tuple[int, ...], options: dict[str, str]) -> Built:
    if classes is None and spec.weights is None:
        raise ConfigError(f"{spec.name}: say how many classes it has (classes=10), or name a weights file.")
    if spec.name == "mlp" and is_text(shape):
        raise ConfigError(f"mlp reads vectors and small images; the samples are texts. Use {_FOR_TEXT}.")
    if spec.name != "mlp" and spec.name not in (*FOR_TEXT, *LANGUAGE_MODELS):
        image_shape(spec, shape)
    factory = BUILTIN[spec.name]
    number = classes or 1
    return Built(
        factory(number, shape, **_typed(factory, options, spec)),
        number,
    )


def _package(
    spec: Spec,
    classes: int | None,
    shape: tuple[int, ...],
    options: dict[str, str],
    recipe: dict[str, Any] | None,
) -> Built:
    # transformers imports a model's code, and what that needs, only when the model is made.
    try:
        return _importable(spec).build(spec, classes, shape, options, recipe)
    except ImportError as error:
        raise ConfigError(_why_not(spec, error)) from error


def _importable(spec: Spec) -> ModuleType:
    try:
        return importlib.import_module(f"kantor.models.from_{spec.family}")
    except ImportError:
        raise
    except BROKEN as error:
        raise ImportError(str(error)) from error


def _why_not(spec: Spec, error: ImportError) -> str:
    """Why a family's package cannot be imported: what is missing is installed, what is broken is not."""
    model = f"{spec.family}:{spec.name}"
    if is_missing(error):
        package = (error.name or "").partition(".")[0]
        return f"{model} needs {package}, which is not installed: pip install 'kantor[{spec.family}]'."
    said = f"{model}: {spec.family} is installed, and importing it fails: {error}."
    if "torchvision" in str(error):
        said += (
            " The torchvision here was built for another torch, as for one with CUDA. Install both from one place; "
            "without a GPU: pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu."
        )
    return said


def _typed(factory: Callable[..., Any], options: dict[str, str], spec: Spec) -> dict[str, Any]:
    return typed_options(factory, options, spec.name, given=(CLASSES, "input_shape"), besides=("normalise", "size"))


def _given(network: nn.Module, spec: Spec, classes: int | None, shape: tuple[int, ...], *, as_is: bool) -> Built:
    """A network of a program's own; a model of kantor's keeps what stands before its network.

    Args:
        as_is: one with weights, which gets its inputs as the data has them.
    """
    if not isinstance(network, Model):
        return Built(network, classes or _outputs(network, shape, spec), normalise=Normalise("none") if as_is else None)
    number = network.num_classes
    if classes not in (None, number):
        raise ConfigError(f"{spec.name} is a model for {number} classes, and there are {classes}: give one for those.")
    return Built(network.network, number, network.class_names, network.normalise, network.size, network.recipe)


def _python(spec: Spec, classes: int | None, shape: tuple[int, ...], options: dict[str, str]) -> Built:
    if (network := given_network(spec)) is not None:
        return _given(copy.deepcopy(network).cpu(), spec, classes, shape, as_is=True)
    factory = factory_at(spec)
    parameters = inspect.signature(factory).parameters
    # Asked for a network of any number of classes, one that must be told how many is made for two.
    needed = CLASSES in parameters and parameters[CLASSES].default is inspect.Parameter.empty
    given = {CLASSES: 2 if classes is None and needed else classes, "input_shape": shape}
    options = {key: text for key, text in options.items() if not (key == CLASSES and CLASSES in parameters)}
    known = {key: value for key, value in given.items() if key in parameters and value is not None}
    known |= _typed(factory, options, spec)
    lacking = [
        p.name
        for p in parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in known
    ]
    if lacking:
        raise ConfigError(
            f"{spec.name} must be given {', '.join(lacking)}. A factory is given num_classes and input_shape where it "
            f"takes them and they are known; the rest is written {spec.name}@{lacking[0]}=VALUE."
        )
    network = factory(**known)
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{spec.name} returned {type(network).__name__}; a factory returns an nn.Module.")
    if is_object(spec.name):
        if network in _returned:
            raise ConfigError(
                f"{spec.name} returned a network that it returned before, and every student is to be a new one: make "
                "it inside the function, or hand over the network itself, of which copies are made."
            )
        _returned.add(network)
        return _given(network, spec, classes, shape, as_is=False)
    return Built(network, classes or _outputs(network, shape, spec))


_returned: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()
"""What functions of a program have made, as long as it lives."""


def _outputs(network: nn.Module, shape: tuple[int, ...], spec: Spec) -> int:
    """How many logits a network gives that nobody told how many: those of its last linear layer, else of a trial."""
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if linear:
        return linear[-1].out_features
    training = network.training
    try:
        with torch.no_grad():
            return tensor_of(network.eval()(torch.zeros(1, *shape)), spec.name).shape[1]
    except (RuntimeError, ValueError, TypeError, IndexError, ShapeError) as error:
        raise ConfigError(
            f"{spec.name} has no nn.Linear to read its number of classes from, and cannot see a sample of shape "
            f"{shape}: {error}. Say how many classes there are."
        ) from error
    finally:
        network.train(training)
