"""Networks by transformers. Imported only when a model's name asks for it."""

from pathlib import Path
from typing import Any

from kantor.core.errors import ConfigError, suggest
from kantor.core.options import literals
from kantor.models.families import Built, image_shape, is_text
from kantor.models.normalise import NAMED, Normalise
from kantor.models.pretrained import stands_for_weights
from kantor.models.spec import Spec
from kantor.models.torchvision_unseen import torchvision_unseen

with torchvision_unseen():
    from transformers import (  # pyright: ignore[reportMissingImports]
        AutoConfig,
        AutoModelForImageClassification,
        AutoModelForSequenceClassification,
    )
    from transformers.image_processing_base import ImageProcessingMixin  # pyright: ignore[reportMissingImports]
    from transformers.utils.import_utils import is_torchvision_available  # pyright: ignore[reportMissingImports]

    is_torchvision_available()  # it remembers the answer


def build(
    spec: Spec,
    classes: int | None,
    shape: tuple[int, ...],
    options: dict[str, str],
    recipe: dict[str, Any] | None = None,
) -> Built:
    """A classifier of images or texts by the name of its checkpoint, on the Hub or in a folder.

    The name is a checkpoint's, so its weights (safetensors alone; no code of theirs is run) are loaded, where it is no
    folder without any; ``@pretrained=false`` takes its architecture only. Another number of classes starts a fresh
    classifier. Other options overwrite entries of its configuration. Images are normalised and resized as its
    preprocessor says; weights that come without one get their images as they are. A new network of texts has an
    embedding for every token. ``recipe`` is the configuration that an earlier network was made by, in the place of the
    checkpoint's.

    Raises:
        ConfigError: there is no such checkpoint, it is no such classifier, an option is not in its configuration, or a
            text may have more tokens, or others, than it takes.
    """
    text = is_text(shape)
    channels, height, width = (0, *shape) if text else image_shape(spec, shape)
    pretrained = stands_for_weights(spec)
    settings = literals({key: text for key, text in options.items() if key != "pretrained"})
    try:
        config = _config(spec.name, recipe)
        names = _names(config)
        _overwrite(config, settings, spec)
        if classes is not None and classes != config.num_labels:
            config.num_labels, names = classes, None
        fresh = not pretrained and recipe is None
        if text:
            _fit_tokens(config, shape, spec, settings if fresh else None)
        elif fresh and hasattr(config, "num_channels"):
            config.num_channels = channels
        maker = AutoModelForSequenceClassification if text else AutoModelForImageClassification
        network: Any = (
            maker.from_pretrained(
                spec.name, config=config, use_safetensors=True, trust_remote_code=False, ignore_mismatched_sizes=True
            )
            if pretrained
            else maker.from_config(config, trust_remote_code=False)
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"transformers could not make {spec.architecture}: {error}. Without a network, give the path of a folder "
            "that holds config.json and model.safetensors."
        ) from error
    if text:
        return Built(network, config.num_labels, names if pretrained else None, recipe=config.to_dict())
    preset = _preprocessor(spec.name) if recipe is None else {}
    size = getattr(config, "image_size", None) or (_side(preset) if pretrained else None)
    return Built(
        network,
        num_classes=config.num_labels,
        class_names=names if pretrained else None,
        normalise=_normalise(preset, getattr(config, "num_channels", 3), pretrained or spec.weights is not None),
        size=None if size is None or (size, size) == (height, width) else size,
        recipe=config.to_dict(),
    )


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


def _config(name: str, recipe: dict[str, Any] | None) -> Any:
    if recipe is None:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    known = ("model_type", "auto_map")
    rest = {key: value for key, value in recipe.items() if key not in known and not _may_fetch_code(key)}
    return AutoConfig.for_model(recipe["model_type"], **rest)


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


def _preprocessor(name: str) -> dict[str, Any]:
    try:
        return ImageProcessingMixin.get_image_processor_dict(name)[0]
    except OSError:
        return {}


def _side(preset: dict[str, Any]) -> int | None:
    for size in (preset.get("crop_size") if preset.get("do_center_crop") else None, preset.get("size")):
        if isinstance(size, int):
            return size
        if isinstance(size, dict):
            return size.get("height") or size.get("shortest_edge")
    return None
