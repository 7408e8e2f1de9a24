"""A folder that others load: by transformers or timm where the network is theirs, else weights and what they are of."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from kantor.core.errors import ConfigError
from kantor.core.files import write_json, write_text
from kantor.core.options import literals
from kantor.data.whole_folders import whole_folder
from kantor.models import Model
from kantor.models.families import is_text
from kantor.models.spec import parse
from kantor.study.afterwards.export.card import Origin, card

WEIGHTS = "model.safetensors"


def hub_folder(model: Model, folder: Path, origin: Origin | None, licence: str | None = None) -> str:
    """Write a folder for the Hub, whole or not at all: ``config.json``, ``model.safetensors``, what comes before the
    network, and the model card.

    Args:
        model: with its weights.
        folder: where; one that is there must be such a folder, and is replaced.
        origin: the run that the model is of.
        licence: of the weights, by its identifier.

    Returns:
        Which library loads it.

    Raises:
        ConfigError: the folder holds something else.
        KantorError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or {p.name for p in folder.iterdir()} - _OURS):
        raise ConfigError(f"{folder} holds other files. Name another folder by --output; nothing was changed.")
    family = parse(model.spec).family
    write, library, use = _WAYS.get(family, (_plain, "kantor", _USE_PLAIN))
    with whole_folder(folder) as filling:
        write(model, filling)
        text = card(model, library, use.format(name=folder.name, architecture=_architecture(model)), origin, licence)
        write_text(filling / "README.md", text)
    return library


def _plain(model: Model, folder: Path) -> None:
    """Weights under the network's own keys; what it is, in a file and in their metadata."""
    model.save(folder / WEIGHTS)
    facts = {key: value for key, value in model.facts().items() if key != "tokenizer"}
    write_json(folder / "config.json", {"library": "kantor", **facts})
    _tokenizer(model, folder)


def _of_transformers(model: Model, folder: Path) -> None:
    network: Any = model.network
    config = copy.deepcopy(network.config)
    if model.class_names is not None:
        config.id2label = dict(enumerate(model.class_names))
        config.label2id = {name: number for number, name in enumerate(model.class_names)}
    content = config.to_diff_dict() | {"architectures": [type(network).__name__]}
    content.pop("_name_or_path", None)
    write_json(folder / "config.json", json.loads(json.dumps(content, default=str)))
    # Their reader asks the file by which library it was made.
    save_file(_tensors(network), folder / WEIGHTS, metadata={"format": "pt"})
    _tokenizer(model, folder)
    if not is_text(model.input_shape):
        write_json(folder / "preprocessor_config.json", _preprocessor(model))


def _of_timm(model: Model, folder: Path) -> None:
    model.save(folder / WEIGHTS)
    network: Any = model.network
    facts = model.normalise.facts()
    channels, height, width = model.input_shape
    size = [height, width] if model.size is None else [model.size, model.size]
    seen = facts["mean"] or [0.0] * channels, facts["std"] or [1.0] * channels
    given = {
        "input_size": [len(seen[0]), *size],
        "mean": seen[0],
        "std": seen[1],
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "crop_mode": "squash",
        "num_classes": model.num_classes,
        "fixed_input_size": model.size is not None,
    }
    known = getattr(network, "pretrained_cfg", None) or {}
    places = {key: known[key] for key in ("first_conv", "classifier") if known.get(key)}
    content: dict[str, Any] = {
        "architecture": _architecture(model),
        "num_classes": model.num_classes,
        "num_features": network.num_features,
        "pretrained_cfg": given | places,
        "model_args": {"in_chans": len(seen[0]), **_options(model)},
    }
    if model.class_names is not None:
        content["label_names"] = model.class_names
    write_json(folder / "config.json", content)


def _preprocessor(model: Model) -> dict[str, Any]:
    """What their image processors read; the resizing of a model of kantor's is bilinear."""
    facts = model.normalise.facts()
    side = model.size or getattr(getattr(model.network, "config", None), "image_size", None)
    size = {"height": side, "width": side} if isinstance(side, int) else {"height": 0, "width": 0}
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": isinstance(side, int),
        "size": size if isinstance(side, int) else dict(zip(("height", "width"), model.input_shape[1:], strict=True)),
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": facts["mean"] is not None,
        "image_mean": facts["mean"] or [0.0] * model.input_shape[0],
        "image_std": facts["std"] or [1.0] * model.input_shape[0],
    }


def _tokenizer(model: Model, folder: Path) -> None:
    if (tokenizer := model.tokenizer) is None:
        return
    write_text(folder / "tokenizer.json", tokenizer.content)
    content = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": tokenizer.longest}
    write_json(folder / "tokenizer_config.json", content | {"pad_token": tokenizer.token(tokenizer.padding)})


def _tensors(network: nn.Module) -> dict[str, Any]:
    return {key: tensor.detach().cpu().contiguous().clone() for key, tensor in network.state_dict().items()}


def _architecture(model: Model) -> str:
    return parse(model.spec).name.partition(".")[0]


def _options(model: Model) -> dict[str, Any]:
    """What the network was made with, for timm."""
    own = {k: v for k, v in parse(model.spec).options.items() if k not in ("pretrained", "normalise", "size")}
    return literals(own)


_OURS = {"README.md", "config.json", WEIGHTS, "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"}

_USE_TRANSFORMERS = """from transformers import pipeline

model = pipeline(model="{name}")  # the folder, or its name on the Hub"""
_USE_TIMM = """import timm

model = timm.create_model("local-dir:{name}", pretrained=True)  # or hf-hub:NAME
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))"""
_USE_PLAIN = """import kantor

model = kantor.load("{name}/model.safetensors").eval()  # samples as they are described above -> logits
# or the weights alone: safetensors.torch.load_file("{name}/model.safetensors")"""

_WAYS: dict[str, tuple[Callable[[Model, Path], None], str, str]] = {
    "transformers": (_of_transformers, "transformers", _USE_TRANSFORMERS),
    "timm": (_of_timm, "timm", _USE_TIMM),
}
"""By the family of a network: what writes its folder, which library loads it, and how."""
