"""Networks by transformers. Imported only when a model's name asks for it."""

from typing import Any

from transformers import AutoConfig, AutoModelForImageClassification  # pyright: ignore[reportMissingImports]
from transformers.image_processing_base import ImageProcessingMixin  # pyright: ignore[reportMissingImports]

from kantor.core.errors import ConfigError, suggest
from kantor.models.families import Built, image_shape
from kantor.models.normalise import NAMED, Normalise
from kantor.models.options import convert, literals
from kantor.models.spec import Spec


def build(spec: Spec, classes: int | None, shape: tuple[int, ...], options: dict[str, str]) -> Built:
    """An image classifier by the name of its checkpoint, on the Hub or in a folder.

    The name is a checkpoint's, so its weights (safetensors alone; no code of theirs is run) are loaded;
    ``@pretrained=false`` takes its architecture only. Another number of classes starts a fresh classifier. Other
    options overwrite entries of its configuration. Images are normalised and resized as its preprocessor says.

    Raises:
        ConfigError: there is no such checkpoint, it is no image classifier, or an option is not in its configuration.
    """
    channels, height, width = image_shape(spec, shape)
    pretrained = convert(options.get("pretrained", "true"), bool, f"{spec.name}@pretrained") and spec.weights is None
    settings = literals({key: text for key, text in options.items() if key != "pretrained"})
    try:
        config: Any = AutoConfig.from_pretrained(spec.name, trust_remote_code=False)
        names = _names(config)
        _overwrite(config, settings, spec)
        if classes is not None and classes != config.num_labels:
            config.num_labels, names = classes, None
        if not pretrained and hasattr(config, "num_channels"):
            config.num_channels = channels
        network: Any = (
            AutoModelForImageClassification.from_pretrained(
                spec.name, config=config, use_safetensors=True, trust_remote_code=False, ignore_mismatched_sizes=True
            )
            if pretrained
            else AutoModelForImageClassification.from_config(config, trust_remote_code=False)
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"transformers could not make {spec.architecture}: {error}. Without a network, give the path of a folder "
            "that holds config.json and model.safetensors."
        ) from error
    preset = _preprocessor(spec.name)
    size = getattr(config, "image_size", None) or (_side(preset) if pretrained else None)
    mean, std = preset.get("image_mean") or NAMED["imagenet"][0], preset.get("image_std") or NAMED["imagenet"][1]
    return Built(
        network,
        num_classes=config.num_labels,
        class_names=names if pretrained else None,
        normalise=Normalise.of(mean, std) if getattr(config, "num_channels", 3) == len(mean) else None,
        size=None if size is None or (size, size) == (height, width) else size,
    )


def _overwrite(config: Any, settings: dict[str, Any], spec: Spec) -> None:
    for key, value in settings.items():
        if not hasattr(config, key):
            raise ConfigError(f"{spec.name} has no option '{key}'. {suggest(key, config.to_dict())}")
        setattr(config, key, value)


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
