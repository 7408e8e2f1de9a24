"""Networks by transformers. Imported only when a model's name asks for it."""

from typing import Any

from kantor.core.errors import ConfigError, suggest
from kantor.core.options import literals
from kantor.models.families import Built, image_shape
from kantor.models.normalise import NAMED, Normalise
from kantor.models.pretrained import stands_for_weights
from kantor.models.spec import Spec
from kantor.models.torchvision_unseen import torchvision_unseen

with torchvision_unseen():
    from transformers import AutoConfig, AutoModelForImageClassification  # pyright: ignore[reportMissingImports]
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
    """An image classifier by the name of its checkpoint, on the Hub or in a folder.

    The name is a checkpoint's, so its weights (safetensors alone; no code of theirs is run) are loaded, where it is no
    folder without any; ``@pretrained=false`` takes its architecture only. Another number of classes starts a fresh
    classifier. Other options overwrite entries of its configuration. Images are normalised and resized as its
    preprocessor says; weights that come without one get their images as they are. ``recipe`` is the configuration that
    an earlier network was made by, in the place of the checkpoint's.

    Raises:
        ConfigError: there is no such checkpoint, it is no image classifier, or an option is not in its configuration.
    """
    channels, height, width = image_shape(spec, shape)
    pretrained = stands_for_weights(spec)
    settings = literals({key: text for key, text in options.items() if key != "pretrained"})
    try:
        config = _config(spec.name, recipe)
        names = _names(config)
        _overwrite(config, settings, spec)
        if classes is not None and classes != config.num_labels:
            config.num_labels, names = classes, None
        if not pretrained and recipe is None and hasattr(config, "num_channels"):
            config.num_channels = channels
        network: Any = (
            AutoModelForImageClassification.from_pretrained(
                spec.name, config=config, use_safetensors=True, trust_remote_code=False, ignore_mismatched_sizes=True
            )
            if pretrained
            else AutoModelForImageClassification.from_config(config, trust_remote_code=False)
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"transformers could not make {spec.architecture}: {error}. Without a network, give the path of a folder "
            "that holds config.json and model.safetensors."
        ) from error
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
