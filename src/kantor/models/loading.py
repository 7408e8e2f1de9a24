"""A model from its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from kantor.core.errors import ConfigError, DataError
from kantor.models import families
from kantor.models.families import Built
from kantor.models.model import Model
from kantor.models.normalise import NAMED, Normalise
from kantor.models.options import convert
from kantor.models.spec import Spec, parse
from kantor.models.weights import classifier_path, fit_weights, read_weights

DEFAULT_INPUT = (3, 32, 32)


def load(spec: str, *, classes: int | Sequence[str] | None = None, input_shape: tuple[int, ...] | None = None) -> Model:
    """Build a model from its name, with weights from a file if one is named.

    ``NAME[@key=value]...[:WEIGHTS]`` where NAME is a built-in (``resnet8|14|20|32|44|56``, ``cnn``, ``mlp``, ``vit``),
    ``timm:NAME``, ``torchvision:NAME``, ``transformers:NAME`` or a factory of your own, ``package.module:factory``.
    A ``.safetensors`` file that kantor wrote of a built-in may stand alone.

    Options are the factory's keyword arguments (``cnn@width=128``), and two that every model has:
    ``@normalise=imagenet|cifar|none|standard|MEAN/STD`` and ``@size=224``, to which images are resized first.
    Without the first, a file's own metadata decides; then what the package says of its model; else images in colour are
    normalised by ``imagenet`` for a resnet, vectors by ``standard`` (see ``Model.fit_normaliser``), the rest not.

    Args:
        spec: the name.
        classes: how many, or their names; by default those of the weights.
        input_shape: of one sample, ``(channels, height, width)`` or ``(numbers,)``; by default that of the weights,
            else a colour image of 32 x 32.

    Raises:
        ConfigError: an unknown name or option, a package that is not installed, or classes that contradict the file.
        DataError: the weights cannot be read or do not fit; says which keys and shapes.
    """
    parsed, tensors, known = _open(spec)
    wanted = _Wanted.of(classes, known, parsed)
    shape = tuple(input_shape or known.get("input_shape") or DEFAULT_INPUT)
    factory = families.factory_of(parsed)
    options = {key: value for key, value in parsed.options.items() if key not in ("normalise", "size")}

    if wanted.number is None and tensors is not None:
        path = classifier_path(factory(None, shape, options).network)
        if path is None or f"{path}.weight" not in tensors:
            raise DataError(
                f"{parsed.weights} does not say how many classes {parsed.name} has: {path or 'its classifier'} is not "
                "among its weights. Give the number of classes, or check the model's name."
            )
        wanted = replace(wanted, number=tensors[f"{path}.weight"].shape[0])
    built = factory(wanted.number, shape, options)
    if tensors is not None:
        _check_outputs(built, tensors, parsed, wanted)
        fit_weights(built.network, tensors, f"{parsed.architecture} ({parsed.weights})")
    return Model(
        built.network,
        name=parsed.name.rstrip("/").rpartition("/")[2],
        spec=parsed.architecture,
        num_classes=built.num_classes,
        class_names=wanted.names or built.class_names,
        input_shape=shape,
        normalise=_normalise(parsed, known, built, shape),
        size=_size(parsed, known, built),
    )


def _check_outputs(built: Built, tensors: Mapping[str, Tensor], spec: Spec, wanted: "_Wanted") -> None:
    """Say it by its name where the weights are of another number of classes than the names given for them."""
    bias = f"{classifier_path(built.network)}.bias"
    own, its = built.network.state_dict().get(bias), tensors.get(bias)
    # A last nn.Linear that does not follow the number of classes is no classifier, whatever its size.
    if wanted.names and own is not None and its is not None and own.shape == (len(wanted.names),) != its.shape:
        raise ConfigError(
            f"{spec.weights} holds a model for {len(its)} classes, and {len(wanted.names)} are named "
            f"({', '.join(wanted.names[:4])}). Name all of its own, in its order, or none."
        )


def known_input(spec: str) -> tuple[int, ...] | None:
    """The input shape that a model's weights file names; None where it names none, or there is no file.

    Raises:
        ConfigError, DataError: see :func:`load`.
    """
    shape = _open(spec)[2].get("input_shape")
    return None if shape is None else tuple(shape)


def architecture(spec: str) -> str:
    """What builds a model's network anew, without its weights: of NAME:FILE, or of a file that kantor wrote.

    Raises:
        ConfigError, DataError: see :func:`load`.
    """
    parsed = _open(spec)[0]
    options = {key: value for key, value in parsed.options.items() if key != "pretrained"}
    return replace(parsed, options=options).architecture


@dataclass(frozen=True)
class _Wanted:
    """How many classes, and their names."""

    number: int | None
    names: list[str] | None

    @classmethod
    def of(cls, classes: int | Sequence[str] | None, known: dict[str, Any], spec: Spec) -> "_Wanted":
        number, names = known.get("num_classes"), known.get("class_names")
        if classes is None:
            return cls(number, names)
        asked = None if isinstance(classes, int) else list(classes)
        count = classes if isinstance(classes, int) else len(classes)
        if count < 1:
            raise ConfigError(f"{spec.name}: there must be at least one class.")
        if number is not None and number != count:
            raise ConfigError(
                f"{spec.weights} holds a model for {number} classes; {count} are asked for. Leave the classes out to "
                "keep its own, or start from weights without a classifier."
            )
        if asked and names and asked != names:
            place = next(i for i, (own, other) in enumerate(zip(names, asked, strict=True)) if own != other)
            raise ConfigError(
                f"{spec.weights} holds a model whose class {place} is '{names[place]}'; '{asked[place]}' is asked for. "
                "Leave the classes out to keep its own."
            )
        return cls(count, asked or names)


def _open(text: str) -> tuple[Spec, dict[str, Any] | None, dict[str, Any]]:
    """The name taken apart, the weights if there are any, and what their file says of them."""
    if text.endswith(".safetensors") and Path(text).is_file():
        tensors, known = read_weights(Path(text))
        own = parse(known["spec"]) if "spec" in known else None
        # A file must not decide which code is imported: only the built-ins may be named by it.
        if own is None or own.family != "builtin":
            raise ConfigError(f"{text} does not name a built-in model. Write NAME:{text}.")
        return replace(own, weights=Path(text)), tensors, known
    spec = parse(text)
    if spec.weights is None:
        return spec, None, {}
    tensors, known = read_weights(spec.weights)
    own = parse(known["spec"]) if "spec" in known else None
    if own is not None and (own.family, own.name) == (spec.family, spec.name):
        spec = replace(spec, options={**own.options, **spec.options})
    return spec, tensors, known


def _normalise(spec: Spec, known: dict[str, Any], built: Built, shape: tuple[int, ...]) -> Normalise:
    if "normalise" in spec.options:
        chosen = Normalise.parse(spec.options["normalise"])
        own = known.get("normalise") or {}
        # The option may be the file's own, whose numbers were fitted to its training data.
        if chosen.needs_fit and own.get("mode") == "standard":
            return Normalise("standard", own["mean"], own["std"])
        return chosen
    if "normalise" in known:
        return Normalise(**known["normalise"])
    if built.normalise is not None:
        return built.normalise
    if len(shape) == 1:
        return Normalise("standard")
    return Normalise("imagenet" if spec.name.startswith("resnet") and shape[0] == len(NAMED["imagenet"][0]) else "none")


def _size(spec: Spec, known: dict[str, Any], built: Built) -> int | None:
    if "size" in spec.options:
        return convert(spec.options["size"], int | None, f"{spec.name}@size")
    return known.get("size", built.size)
