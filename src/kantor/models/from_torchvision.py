"""Networks by torchvision. Imported only when a model's name asks for it."""

from typing import Any

import torchvision  # pyright: ignore[reportMissingImports]
from torch import nn
from torchvision.models import get_model, get_model_weights, list_models  # pyright: ignore[reportMissingImports]

from kantor.core.errors import ConfigError, suggest
from kantor.core.options import literals
from kantor.models.families import Built, image_shape, side, takes
from kantor.models.normalise import Normalise
from kantor.models.pretrained import stands_for_weights
from kantor.models.spec import Spec
from kantor.models.weights import classifier_path


def build(
    spec: Spec,
    classes: int | None,
    shape: tuple[int, ...],
    options: dict[str, str],
    recipe: dict[str, Any] | None = None,  # noqa: ARG001
) -> Built:
    """A classifier by its torchvision name, for images in colour (a grey one becomes three equal channels).

    It starts afresh; ``@pretrained=true`` fetches its default weights, and then another number of classes starts a
    fresh classifier. Other options go to the model's builder. Pretrained networks, those with learnt positions,
    and those that cannot take the data's size get their images resized to what they were made for.

    Raises:
        ConfigError: torchvision knows no such classifier, or its weights cannot be fetched.
    """
    known = list_models(module=torchvision.models)
    if spec.name not in known:
        raise ConfigError(f"torchvision has no classifier '{spec.name}'. {suggest(spec.name, known)}")
    channels, height, width = image_shape(spec, shape)
    if channels not in (1, 3):
        raise ConfigError(f"torchvision:{spec.name} reads images with 3 channels (or 1); the data's have {channels}.")
    settings = literals({key: text for key, text in options.items() if key != "pretrained"})
    pretrained = stands_for_weights(spec)
    weights_of: Any = get_model_weights(spec.name)
    weights = weights_of.DEFAULT
    names = weights.meta["categories"]
    number = classes or len(names)
    try:
        network = get_model(spec.name, weights=None, num_classes=number, **settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"torchvision could not make {spec.architecture}: {error}. Check its options.") from error
    if pretrained:
        _load(network, weights, spec)
    preset = weights.transforms()
    made_for = preset.crop_size[0]
    size = getattr(network, "image_size", made_for if pretrained else None)
    if size is None and not takes(network, (3, height, width)):
        size = made_for
    return Built(
        network,
        num_classes=number,
        class_names=list(names) if pretrained and number == len(names) else None,
        normalise=Normalise.of(preset.mean, preset.std),
        size=side(size, (height, width), spec),
    )


def _load(network: nn.Module, weights: Any, spec: Spec) -> None:
    try:
        tensors = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"The weights of torchvision:{spec.name} could not be fetched: {error}. Without a network, name a weights "
            f"file: torchvision:{spec.name}:FILE."
        ) from error
    own = network.state_dict()
    head = classifier_path(network) or ""
    fitting = {k: t for k, t in tensors.items() if not (k.rpartition(".")[0] == head and t.shape != own[k].shape)}
    network.load_state_dict({**own, **fitting})
