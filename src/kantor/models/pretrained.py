"""Whether a model's name stands for trained weights where no file is named: one rule for every command."""

from importlib.util import find_spec
from pathlib import Path

from kantor.core.errors import ConfigError
from kantor.core.options import convert
from kantor.models.factories import given_network
from kantor.models.spec import FAMILIES, Spec, parse


def has_weights(text: str) -> bool:
    """Whether a model's name says where its weights come from: a file, or the package that the name belongs to.

    Raises:
        ConfigError: it is no model's name.
    """
    if Path(text).suffix == ".safetensors":
        return True
    spec = parse(text)
    return spec.weights is not None or stands_for_weights(spec)


def stands_for_weights(spec: Spec) -> bool:
    """Whether the architecture's own name stands for weights that its package brings, with no file named beside it.

    A timm name with a tag does (``resnet18.a1_in1k``), and so does a checkpoint of transformers (a folder where it
    holds weights), and a network that a program handed over; torchvision's do not. ``@pretrained=true|false`` says
    otherwise.

    Raises:
        ConfigError: the option is neither true nor false.
    """
    if spec.weights is not None or spec.family in ("builtin", "python"):
        return spec.weights is None and given_network(spec) is not None
    if "pretrained" in spec.options:
        return bool(convert(spec.options["pretrained"], bool, f"{spec.name}@pretrained"))
    if spec.family == "timm":
        return "." in spec.name
    return spec.family == "transformers" and _holds_weights(Path(spec.name))


def in_gguf(name: str) -> tuple[str, dict[str, str]]:
    """A checkpoint's name as transformers takes it: where it is a GGUF file its folder, and which file in it.

    Raises:
        ConfigError: there is no such file, or what reads it is not installed.
    """
    path = Path(name)
    if path.suffix.lower() != ".gguf":
        return name, {}
    if not path.is_file():
        raise ConfigError(f"There is no file {path}. Give the path of a GGUF file, as transformers:FOLDER/FILE.gguf.")
    if find_spec("gguf") is None:
        raise ConfigError(f"{path} is read by the package gguf: pip install gguf.")
    return str(path.parent), {"gguf_file": path.name}


def without_weights(spec: Spec) -> str:
    """The name that builds the same network afresh; of a network that a program handed over there is no other."""
    if given_network(spec) is not None:
        return spec.architecture
    options = {key: value for key, value in spec.options.items() if key != "pretrained"}
    bare = Spec(spec.family, spec.name, options)
    if stands_for_weights(bare):
        bare.options["pretrained"] = "false"
    return bare.architecture


def need_weights(text: str) -> None:
    """Refuse a model without weights: one that learnt nothing has nothing to say.

    Raises:
        ConfigError: the name says nothing of weights.
    """
    if not has_weights(text):
        fetched = f", or {text}@pretrained=true" if parse(text).family in FAMILIES else ""
        raise ConfigError(
            f"{text} names no weights. Write {text}:FILE{fetched}; a network that learnt nothing says nothing."
        )


def _holds_weights(checkpoint: Path) -> bool:
    """A name on the Hub stands for its weights; a folder does where there are some in it."""
    if not checkpoint.is_dir():
        return True
    return any(
        path.suffix in (".safetensors", ".bin") or path.name.endswith(".index.json") for path in checkpoint.iterdir()
    )
