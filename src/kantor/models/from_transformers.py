"""Networks by transformers. Imported only when a model's name asks for it."""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from torch import nn

from kantor.core.errors import ConfigError, DataError, suggest
from kantor.core.options import literals
from kantor.core.reading import check_shape
from kantor.models.families import Built, image_shape, is_text, side
from kantor.models.normalise import NAMED, Normalise
from kantor.models.pretrained import in_gguf, stands_for_weights
from kantor.models.spec import Spec
from kantor.models.torchvision_unseen import torchvision_unseen

with torchvision_unseen():
    from transformers import (  # pyright: ignore[reportMissingImports]
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForImageClassification,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        PretrainedConfig,
    )
    from transformers.image_processing_base import ImageProcessingMixin  # pyright: ignore[reportMissingImports]
    from transformers.utils.import_utils import is_torchvision_available  # pyright: ignore[reportMissingImports]

    is_torchvision_available()  # it remembers the answer


_HEADS = {
    "sequence_classification": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "causal_lm": AutoModelForCausalLM,
}
"""What a network says of a text: a class, a class for every token, the next token."""


def build(
    spec: Spec,
    classes: int | None,
    shape: tuple[int, ...],
    options: dict[str, str],
    recipe: dict[str, Any] | None = None,
) -> Built:
    """A classifier of images or texts, or a language model, by the name of its checkpoint, on the Hub or in a folder.

    The name is a checkpoint's, so its weights (safetensors, or a GGUF file, whose weights of few bits become float32;
    no code of theirs is run) are loaded, where it is no
    folder without any; ``@pretrained=false`` takes its architecture only. Another number of classes starts a fresh
    classifier. Other options overwrite entries of its configuration. Images are normalised and resized as its
    preprocessor says; weights that come without one get their images as they are. A new network of texts has an
    embedding for every token; ``@head=token_classification`` gives a class for every token of a text, and
    ``@head=causal_lm`` the next token. ``recipe`` is the configuration that an earlier network was made by, in the
    place of the checkpoint's.

    Raises:
        ConfigError: there is no such checkpoint, it is no such classifier, an option is not in its configuration, or a
            text may have more tokens, or others, than it takes.
    """
    text = is_text(shape)
    channels, height, width = (0, *shape) if text else image_shape(spec, shape)
    pretrained = stands_for_weights(spec)
    settings = literals({key: text for key, text in options.items() if key not in ("pretrained", "head")})
    maker = _maker(options.get("head"), spec, text)
    says_tokens = maker is AutoModelForCausalLM
    try:
        config = _config(spec.name, recipe)
        names = _names(config)
        _overwrite(config, settings, spec)
        number: int = config.num_labels if classes is None else classes
        others = number != config.num_labels and not says_tokens
        if others:
            config.num_labels, names = number, None
        fresh = not pretrained and recipe is None
        if says_tokens:
            config.use_cache = False  # of keys and values, for who writes token by token
        if text:
            _fit_tokens(config, shape, spec, settings if fresh else None)
        elif not hasattr(config, "num_channels") and hasattr(config, "vocab_size"):
            raise ConfigError(
                f"{spec.name} ({config.model_type}) is of texts, and the samples are no tokens. Of data of texts "
                "kantor knows their shape; in Python say it, input_shape=(tokens, vocabulary), as "
                f"(64, {config.vocab_size})."
            )
        elif fresh and hasattr(config, "num_channels"):
            config.num_channels = channels
        network = _loaded(maker, spec, config, others) if pretrained else _drawn(maker, config)
    except (ConfigError, DataError, ImportError):
        raise
    except Exception as error:  # what a folder says can make transformers raise anything
        raise ConfigError(
            f"transformers could not make {spec.architecture}: {_said(error)}. Without a network, give the path of a "
            "folder that holds config.json and model.safetensors."
        ) from error
    if says_tokens:
        return Built(network, shape[1], recipe=config.to_dict())
    if text:
        return Built(network, number, names if pretrained else None, recipe=config.to_dict())
    preset = _preprocessor(spec.name) if recipe is None else {}
    size = getattr(config, "image_size", None) or (_side(preset) if pretrained else None)
    return Built(
        network,
        num_classes=number,
        class_names=names if pretrained else None,
        normalise=_normalise(preset, getattr(config, "num_channels", 3), pretrained or spec.weights is not None),
        size=side(size, (height, width), spec),
        recipe=config.to_dict(),
    )


def _maker(head: str | None, spec: Spec, text: bool) -> Any:
    """What makes the network of transformers that answers so.

    Raises:
        ConfigError: there is no such head, or the samples are no texts.
    """
    if not text:
        if head is not None:
            raise ConfigError(f"{spec.name}@head={head} is of texts, and the samples are images: leave it out.")
        return AutoModelForImageClassification
    if head is not None and head not in _HEADS:
        raise ConfigError(f"{spec.name}@head={head}: it is one of {', '.join(_HEADS)}.")
    return _HEADS[head or "sequence_classification"]


def _fit_tokens(config: Any, shape: tuple[int, ...], spec: Spec, fresh: dict[str, Any] | None) -> None:
    """Refuse texts with more tokens, or others, than the network takes; a fresh one has a vector for each of them.

    Args:
        config: changed where the network is fresh.
        shape: of a text, ``(tokens, vocabulary)``.
        spec: the model.
        fresh: options that the user gave a fresh network; None where it is none.
    """
    longest, vocabulary = shape
    brings_its_own = any(Path(spec.name).glob("tokenizer*"))
    if fresh is not None and "vocab_size" not in fresh and not (brings_its_own and config.vocab_size >= vocabulary):
        config.vocab_size = vocabulary
        if (getattr(config, "pad_token_id", None) or 0) >= vocabulary:
            config.pad_token_id = 0
    if config.vocab_size < vocabulary:
        raise ConfigError(
            f"{spec.name} has vectors for {config.vocab_size:,} tokens, and the tokenizer has {vocabulary:,}. Give it "
            "the tokenizer that it was trained with."
        )
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and positions < longest:
        raise ConfigError(
            f"{spec.name} takes texts of {positions} tokens, and they have up to {longest}. Cut them: --max-length "
            f"{positions}."
        )


def _loaded(maker: Any, spec: Spec, config: Any, others: bool) -> nn.Module:
    """The checkpoint's network in float32, every weight of it found but for a classifier's.

    Args:
        maker: of transformers.
        spec: its name.
        config: its configuration.
        others: it gets a classifier of another number of classes.

    Raises:
        DataError: the checkpoint lacks weights, or has some of another shape: transformers would draw them at random.
    """
    folder, file = in_gguf(spec.name)
    network, found = maker.from_pretrained(
        folder,
        **(file or {"use_safetensors": True}),
        config=config,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    body, own = f"{network.base_model_prefix}.", network.state_dict()
    is_body = any(key.startswith(body) for key in own)
    differing = {key for key, *_ in found["mismatched_keys"]}
    missing = {key for key in found["missing_keys"] if not key.endswith("num_batches_tracked")}
    # What pools for a classifier is drawn with it: checkpoints of language models have neither.
    inside = [k for k in missing | differing if not is_body or (k.startswith(body) and ".pooler." not in k)]
    wrong = sorted(inside if others else {*inside, *differing})
    if wrong:
        raise DataError(
            f"The weights do not fit {spec.architecture}: of {len(own)} tensors, {len(wrong)} are missing from the "
            f"checkpoint, or of another shape than its config.json says ({_some(wrong)}). It may be damaged; copy it "
            "again."
        )
    if missing:
        warnings.warn(
            f"{spec.architecture} comes without a classifier ({_some(sorted(missing))}): a fresh one is drawn, and "
            "what it says means nothing before it is trained.",
            stacklevel=2,
        )
    if file:  # numbers again, in a network that does not know of their few bits
        weights = network.state_dict()
        vars(config).pop("quantization_config", None)
        network = _drawn(maker, config)
        network.load_state_dict(weights)
    # Of weights kept in half precision too: kantor trains and compares in float32, and autocast lowers that.
    return network.float()


def _drawn(maker: Any, config: Any) -> nn.Module:
    """A fresh network, in float32."""
    return maker.from_config(config, trust_remote_code=False).float()


def _config(name: str, recipe: dict[str, Any] | None) -> Any:
    if recipe is None:
        folder, file = in_gguf(name)
        config = AutoConfig.from_pretrained(folder, **file, trust_remote_code=False)
        if not file:  # whose few facts name no code
            _refuse_fetched_code(name)
        return config
    rest = {key: value for key, value in _plain(recipe).items() if key != "model_type"}
    return AutoConfig.for_model(recipe["model_type"], **rest)


def _refuse_fetched_code(name: str) -> None:
    """Refuse a checkpoint whose configuration, at any depth, names an implementation on the Hub: that is code.

    Raises:
        ConfigError: it does; names it.
    """
    content, _ = PretrainedConfig.get_config_dict(name)
    for key, value in _entries(content):
        # Where a checkpoint came from: older ones say so, and nothing is fetched from there.
        if key != "_name_or_path" and _may_fetch_code(key) and "/" in str(value):
            raise ConfigError(
                f"The config.json of {name} asks for {key} {value!r}, which is code on the Hub, and a file does not "
                "decide which code runs. Take the entry out of it."
            )


def _entries(content: Any) -> Iterable[tuple[str, Any]]:
    for key, value in content.items() if isinstance(content, Mapping) else ():
        yield str(key), value
        yield from _entries(value)


def _plain(content: Any) -> Any:
    """A configuration without what may name code to run, at any depth."""
    if not isinstance(content, Mapping):
        return content
    return {k: _plain(v) for k, v in content.items() if k != "auto_map" and not _may_fetch_code(str(k))}


def _normalise(preset: dict[str, Any], channels: int, trained: bool) -> Normalise:
    """As the preprocessor says; where there is none, weights get what the data has, and a fresh network ImageNet's."""
    said = preset.get("do_normalize", bool(preset.get("image_mean")) or not trained)
    mean, std = preset.get("image_mean") or NAMED["imagenet"][0], preset.get("image_std") or NAMED["imagenet"][1]
    return Normalise.of(mean, std) if said and channels == len(mean) else Normalise("none")


def _overwrite(config: Any, settings: dict[str, Any], spec: Spec) -> None:
    for key, value in settings.items():
        if not hasattr(config, key) or _may_fetch_code(key):
            raise ConfigError(f"{spec.name} has no option '{key}'. {suggest(key, config.to_dict())}")
        setattr(config, key, value)


def _may_fetch_code(key: str) -> bool:
    """Whether an entry of a configuration is private, or names an implementation: transformers may fetch one to run."""
    return key.startswith("_") or "implementation" in key


def _names(config: Any) -> list[str] | None:
    names = [str(config.id2label[index]) for index in sorted(config.id2label)]
    # What transformers fills in where a checkpoint says nothing.
    return None if all(name == f"LABEL_{index}" for index, name in enumerate(names)) else names


class _Preset(TypedDict):
    """What is read of a ``preprocessor_config.json``."""

    do_normalize: NotRequired[bool | None]
    image_mean: NotRequired[list[float] | None]
    image_std: NotRequired[list[float] | None]
    do_center_crop: NotRequired[bool | None]
    crop_size: NotRequired[dict[str, int | None] | list[int] | int | None]
    size: NotRequired[dict[str, int | None] | list[int] | int | None]


def _preprocessor(name: str) -> dict[str, Any]:
    remedy, source = "Mend or delete it; without it images are taken as they are.", f"The preprocessor of {name}"
    try:
        preset = ImageProcessingMixin.get_image_processor_dict(name)[0]
    except OSError:
        return {}
    except Exception as error:  # a damaged file can make its reader raise anything
        raise DataError(f"{source} cannot be read: {_said(error)}. {remedy}") from error
    check_shape(preset, _Preset, source, remedy)
    mean, std = preset.get("image_mean") or [], preset.get("image_std") or []
    if (mean and std and len(mean) != len(std)) or min(std, default=1) <= 0:
        raise DataError(f"{source} cannot be used: each mean needs a positive deviation. {remedy}")
    return preset


def _side(preset: dict[str, Any]) -> Any:
    for size in (preset.get("crop_size") if preset.get("do_center_crop") else None, preset.get("size")):
        if isinstance(size, int | list):
            return size
        if isinstance(size, dict):
            both = (size.get("height"), size.get("width"))
            return both if None not in both else size.get("height") or size.get("shortest_edge")
    return None


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
