"""A model from its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.core.files import is_file
from kantor.core.options import convert
from kantor.data.label_kinds import LabelKind
from kantor.data.tokenizer import Tokenizer, same_tokens
from kantor.models import families
from kantor.models.families import CLASSES, Built
from kantor.models.model import Model
from kantor.models.normalise import NAMED, Normalise
from kantor.models.pretrained import need_weights, without_weights
from kantor.models.spec import Spec, codes_of, of_folder, parse
from kantor.models.weights import classifier_path, fit_weights, read_weights, unwrapped

DEFAULT_INPUT = (3, 32, 32)


def load(spec: str, *, classes: int | Sequence[str] | None = None, input_shape: tuple[int, ...] | None = None) -> Model:
    """Build a model from its name, with weights from a file if one is named.

    ``NAME[@key=value]...[:WEIGHTS]`` where NAME is a built-in (``resnet8|14|20|32|44|56``, ``cnn``, ``mlp``, ``vit``;
    of texts ``bag``, ``textcnn``),
    ``timm:NAME``, ``torchvision:NAME``, ``transformers:NAME`` or a factory of your own, ``package.module:factory``.
    A ``.safetensors`` file that kantor wrote may stand alone, and so may the folder of a trained student,
    ``RUN/METHOD/seed-K``; a factory that it names must have been written by you
    here, or the file's folder be trusted (:mod:`kantor.core.trust`).

    Options are the factory's keyword arguments (``cnn@width=128``), and two that every model has:
    ``@normalise=imagenet|cifar|none|standard|MEAN/STD`` and ``@size=224``, to which images are resized first.
    Without the first, a file's own metadata decides; then what the package says of its model; else images in colour are
    normalised by ``imagenet`` for a built-in resnet, vectors by ``standard`` (see ``Model.fit_normaliser``) where the
    network is new, and the rest not: weights that came from elsewhere get their inputs as the data has them.

    Args:
        spec: the name.
        classes: how many, or their names; by default those of the weights.
        input_shape: of one sample, ``(channels, height, width)`` or ``(numbers,)``; by default that of the weights,
            else a colour image of 32 x 32.

    Raises:
        ConfigError: an unknown name or option, a package that is not installed, or classes that contradict the file.
        DataError: the weights cannot be read or do not fit; says which keys and shapes.
    """
    spec = of_folder(spec)
    trust.wrote(codes_of([spec]))
    return load_named(spec, classes=classes, input_shape=input_shape)


def load_named(
    spec: str,
    *,
    classes: int | Sequence[str] | None = None,
    input_shape: tuple[int, ...] | None = None,
    tokenizer: Tokenizer | None = None,
    answers: LabelKind = "classes",
) -> Model:
    """:func:`load` for a name that may stand in a file, which decides no code that runs (:mod:`kantor.core.trust`).

    Args:
        spec: the name.
        classes: how many, or their names.
        input_shape: of one sample.
        tokenizer: what its texts become tokens by; the weights' own if left out.
        answers: what it is to say of a text, as the data's labels are: a class, a class for every token (``maps``), or
            the next token.

    Raises:
        ConfigError: it names code that the user did not write; its weights learnt from the tokens of another
            tokenizer; or see :func:`load`.
        DataError: see :func:`load`.
    """
    parsed, tensors, known = _open(spec)
    parsed = _with_head(parsed, answers if tokenizer is not None else "classes")
    wanted = _Wanted.of(classes, known, parsed)
    shape = tuple(input_shape or known.get("input_shape") or DEFAULT_INPUT)
    if not all(isinstance(number, int) and number > 0 for number in shape):
        raise ConfigError(f"input_shape is of one sample, as {DEFAULT_INPUT}: whole numbers above 0, not {shape}.")
    tokenizer = _tokenizer(tokenizer, known, spec)
    factory = families.factory_of(parsed, known.get("recipe"))
    options = {key: value for key, value in parsed.options.items() if key not in ("normalise", "size")}

    if tensors is not None:
        with torch.random.fork_rng(devices=[]):  # a network may be made for its names, and what it draws is nobody's
            named = lambda: factory(wanted.number or 2, shape, options).network.state_dict()  # noqa: E731
            tensors = unwrapped(tensors, named, str(parsed.weights))
    if wanted.number is None and tensors is not None:
        wanted = replace(wanted, number=_classes_of(tensors, lambda number: factory(number, shape, options).network))
        if wanted.number is None:
            raise DataError(
                f"{parsed.weights} does not say how many classes {parsed.name} has: its classifier is not among its "
                "weights. Give the number of classes, or check the model's name."
            )
    built = factory(wanted.number, shape, options)
    config = getattr(built.network, "config", None)
    if tokenizer is not None and config is not None and getattr(config, "pad_token_id", 0) is None:
        config.pad_token_id = tokenizer.padding  # by which a decoder of transformers finds a text's last token
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
        recipe=built.recipe,
        tokenizer=tokenizer,
        says_tokens=tokenizer is not None and bool(answers == "next" or known.get("says_tokens")),
    )


def _with_head(spec: Spec, answers: LabelKind) -> Spec:
    """A name at transformers, whose checkpoints are of one body under several heads, with the head that answers."""
    head = {"maps": "token_classification", "next": "causal_lm"}.get(answers)
    if head is None or spec.family != "transformers" or "head" in spec.options:
        return spec
    return replace(spec, options={**spec.options, "head": head})


def _tokenizer(given: Tokenizer | None, known: dict[str, Any], spec: str) -> Tokenizer | None:
    own = Tokenizer.read(known["tokenizer"]) if "tokenizer" in known else None
    if given is None or own is None:
        return given or own
    if not same_tokens(given, own):
        raise ConfigError(
            f"{spec} learnt from the tokens of {own.origin}, and sees those of {given.origin} here. Give it its own "
            "tokenizer, or train it anew."
        )
    return given


def load_trained(
    spec: str,
    shape: tuple[int, ...],
    *,
    classes: int | Sequence[str] | None = None,
    tokenizer: Tokenizer | None = None,
    answers: LabelKind = "classes",
) -> Model:
    """A model with its weights, as whoever looks at a trained model needs it: built for the inputs that its file names,
    else for those of the data.

    Args:
        spec: the name, see :func:`load`.
        shape: of one sample of the data.
        classes: those of its weights, where the user gave them.
        tokenizer: what the data's texts become tokens by.
        answers: see :func:`load_named`.

    Raises:
        ConfigError, DataError: see :func:`load_named`; the name says nothing of weights.
    """
    need_weights(spec)
    trust.wrote(codes_of([spec]))
    own_shape = None if tokenizer is not None else known_of(spec)[1].get("input_shape")
    shape = own_shape or shape
    return load_named(spec, classes=classes, input_shape=shape, tokenizer=tokenizer, answers=answers)


def known_of(text: str) -> tuple[Spec, dict[str, Any]]:
    """A model's name taken apart, and what its weights file says of it; empty where there is none.

    Raises:
        ConfigError, DataError: see :func:`load`.
    """
    spec, _, known = _open(text)
    return spec, known


def _classes_of(tensors: Mapping[str, Tensor], network: Callable[[int | None], nn.Module]) -> int | None:
    """How many classes weights are for; None where they do not tell.

    By convention their last linear layer is the classifier. Where it is none, as a convolution or a layer that has
    nothing to do with the classes, the classifier is what differs between networks made for two classes and for three.
    """
    sizes = [network(number).state_dict() for number in (2, 3)]
    for key, small in sizes[0].items():
        for place, (two, three) in enumerate(zip(small.shape, sizes[1][key].shape, strict=True)):
            if (two, three) == (2, 3) and key in tensors and tensors[key].ndim == small.ndim:
                return tensors[key].shape[place]
    path = classifier_path(network(None))
    found = tensors.get(f"{path}.weight")
    return None if found is None else found.shape[0]


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


def architecture(spec: str) -> str:
    """What builds a model's network anew, without its weights: of NAME:FILE, or of a file that kantor wrote.

    Raises:
        ConfigError, DataError: see :func:`load`.
    """
    return without_weights(_open(spec)[0])


@dataclass(frozen=True)
class _Wanted:
    """How many classes, and their names."""

    number: int | None
    names: list[str] | None

    @classmethod
    def of(cls, classes: int | Sequence[str] | None, known: dict[str, Any], spec: Spec) -> "_Wanted":
        number, names = known.get("num_classes"), known.get("class_names")
        asked_of_all = spec.options.get(CLASSES) if spec.family == "python" else None
        if asked_of_all is not None:
            number = number or convert(asked_of_all, int, f"{spec.name}@{CLASSES}")
        if classes is None:
            return cls(number, names)
        asked = None if isinstance(classes, int) else list(classes)
        count = classes if isinstance(classes, int) else len(classes)
        if count < 1:
            raise ConfigError(f"{spec.name}: there must be at least one class.")
        if number is not None and number != count:
            raise ConfigError(
                f"{spec.weights or spec.architecture} holds a model for {number} classes; {count} are asked for. "
                "Leave the classes out to keep its own; a student of others begins with it by --start NAME:FILE."
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
    if text.endswith(".safetensors") and is_file(Path(text)):
        tensors, known = read_weights(Path(text))
        own = _own(known, Path(text))
        if own is None:
            raise ConfigError(f"{text} does not say what network it is for. Write NAME:{text}, as in resnet20:{text}.")
        return replace(own, weights=Path(text)), tensors, known
    spec = parse(text)
    if spec.weights is None:
        return spec, None, {}
    tensors, known = read_weights(spec.weights)
    own = _own(known, spec.weights)
    if own is None or (own.family, own.name) != (spec.family, spec.name):
        known.pop("recipe", None)
    else:
        spec = replace(spec, options={**own.options, **spec.options})
    return spec, tensors, known


def _own(known: dict[str, Any], file: Path) -> Spec | None:
    """The model that a weights file names, without weights; None where it names none."""
    if "spec" not in known:
        return None
    trust.found(codes_of([known["spec"]]), file)
    try:
        return replace(parse(known["spec"]), weights=None)
    except ConfigError as error:
        raise DataError(f"{file} names a model that there is not. {error}") from None


def _normalise(spec: Spec, known: dict[str, Any], built: Built, shape: tuple[int, ...]) -> Normalise:
    if "normalise" in spec.options:
        asked = Normalise.parse(spec.options["normalise"])
        own = known.get("normalise") or {}
        # The option may be the file's own, whose numbers were fitted to its training data.
        if asked.needs_fit and own.get("mode") == "standard":
            return Normalise("standard", own["mean"], own["std"])
        return asked
    if "normalise" in known:
        own = known["normalise"]
        return Normalise(own["mode"], own.get("mean"), own.get("std"))
    if built.normalise is not None:
        return built.normalise
    if len(shape) == 1 and spec.weights is None:
        return Normalise("standard")
    colour = shape[0] == len(NAMED["imagenet"][0]) and len(shape) == 3
    return Normalise("imagenet" if spec.family == "builtin" and spec.name.startswith("resnet") and colour else "none")


def _size(spec: Spec, known: dict[str, Any], built: Built) -> int | None:
    if "size" in spec.options:
        return convert(spec.options["size"], int | None, f"{spec.name}@size")
    return known.get("size", built.size)
