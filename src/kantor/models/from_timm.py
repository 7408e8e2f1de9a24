"""Networks by timm. Imported only when a model's name asks for it."""

from typing import Any

import timm  # pyright: ignore[reportMissingImports]

from kantor.core.errors import ConfigError, suggest
from kantor.core.options import literals
from kantor.models.families import Built, image_shape, side, takes
from kantor.models.normalise import Normalise
from kantor.models.pretrained import stands_for_weights
from kantor.models.spec import Spec

_FILES = ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay")
"""Options of timm's that name a file of weights, which timm unpickles: that runs what is in it."""


def build(
    spec: Spec,
    classes: int | None,
    shape: tuple[int, ...],
    options: dict[str, str],
    recipe: dict[str, Any] | None = None,  # noqa: ARG001
) -> Built:
    """A classifier by its timm name, for images with any number of channels.

    A name with a tag (``resnet18.a1_in1k``) names weights and fetches them; a bare name starts afresh;
    ``@pretrained=true|false`` says otherwise. Other options go to ``timm.create_model``. Pretrained networks,
    those with learnt positions, and those that cannot take the data's size get their images resized to what they were
    made for.

    Raises:
        ConfigError: timm knows no such model, or its weights cannot be fetched.
    """
    architecture, _, tag = spec.name.partition(".")
    if not timm.is_model(architecture):
        raise ConfigError(f"timm has no model '{architecture}'. {suggest(architecture, timm.list_models())}")
    if tag and spec.name not in timm.list_pretrained(f"{architecture}.*"):
        raise ConfigError(
            f"timm has no weights '{spec.name}'. {suggest(spec.name, timm.list_pretrained(f'{architecture}.*'))}"
        )
    for key in _FILES:
        if key in options:
            raise ConfigError(
                f"timm:{spec.name} takes no {key}: a weights file follows a colon, timm:{spec.name}:FILE."
            )
    channels, height, width = image_shape(spec, shape)
    settings = literals({key: text for key, text in options.items() if key != "pretrained"})
    pretrained = stands_for_weights(spec)
    if classes is not None:
        settings["num_classes"] = classes
    try:
        network: Any = timm.create_model(spec.name, pretrained=pretrained, in_chans=channels, **settings)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"timm could not make {spec.architecture}: {error}. Check its options; without a network, name a weights "
            f"file (timm:{spec.name}:FILE) or start afresh (@pretrained=false)."
        ) from error
    known = network.pretrained_cfg
    size = known["input_size"][1:] if pretrained or known.get("fixed_input_size") else None
    size = settings.get("img_size", size)
    if size is None and not takes(network, (channels, height, width)):
        size = known["input_size"][1:]
    return Built(
        network,
        num_classes=network.num_classes,
        normalise=Normalise.of(known["mean"], known["std"]) if channels == len(known["mean"]) else None,
        size=side(size, (height, width), spec),
    )
