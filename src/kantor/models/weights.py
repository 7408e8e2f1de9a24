"""Weights and what is known about them, from and to a file. Nothing in a file is executed."""

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kantor.core.errors import DataError
from kantor.core.files import is_file, write_bytes
from kantor.core.reading import parse_json
from kantor.core.seal import check_sealed
from kantor.data.tokenizer import KnownTokenizer
from kantor.models.normalise import Mode

_KEY = "kantor"


class Known(TypedDict):
    """What a weights file that kantor wrote says of its model: see :meth:`kantor.models.Model.facts`."""

    spec: NotRequired[str]
    num_classes: NotRequired[int | None]
    class_names: NotRequired[list[str] | None]
    input_shape: NotRequired[list[int]]
    normalise: NotRequired["KnownNormalise"]
    size: NotRequired[int | None]
    recipe: NotRequired[dict[str, Any] | None]
    tokenizer: NotRequired[KnownTokenizer]
    says_tokens: NotRequired[bool]


class KnownNormalise(TypedDict):
    """See :meth:`kantor.models.Normalise.facts`."""

    mode: Mode
    mean: NotRequired[list[float] | None]
    std: NotRequired[list[float] | None]


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors in a file, and the metadata that kantor wrote beside them (empty where there is none).

    ``.safetensors``, or ``.pt`` and ``.pth`` read with ``weights_only=True``: a state dict, or a dict that holds one,
    as a trainer's checkpoint does (of several ``state_dict`` or ``model``). A ``module.`` before every key is taken
    off.

    Raises:
        DataError: the file is missing, damaged, of another kind, or holds more than tensors; or it is a finished
            student's, and not as it was when that was finished.
    """
    if not is_file(path):
        raise DataError(f"There is no weights file {path}.")
    check_sealed(path)
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                metadata = (file.metadata() or {}).get(_KEY, "{}")
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError, OSError) as error:
            raise DataError(
                f"{path} cannot be read as safetensors: {error}. It may be damaged; copy it again."
            ) from None
        remedy = "It may be damaged: copy it again, or write it anew with kantor's own Model.save."
        known = parse_json(metadata, f"What {path} says of its model", Known, remedy)
        _check_known(known, path)
        return tensors, known
    if path.suffix in (".pt", ".pth"):
        return _read_pickle(path), {}
    raise DataError(f"{path}: weights are read from .safetensors, .pt and .pth files.")


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and metadata as safetensors, atomically.

    Raises:
        KantorError: the disk is full, or the folder cannot be written.
    """
    # Tied weights share memory, which safetensors refuses; each gets its own copy and loads back into the shared one.
    own = {key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()}
    # One key alone: safetensors writes several in no fixed order, and the same student must give the same bytes.
    write_bytes(path, save(own, metadata={_KEY: json.dumps(dict(metadata), allow_nan=False)}))


def unwrapped(tensors: Mapping[str, Tensor], names: Callable[[], Iterable[str]], source: str) -> dict[str, Tensor]:
    """Take off what wrappers put before every name (torch.compile, data-parallel training, a trainer's module), where
    what is left are exactly the network's own, and say so.

    Args:
        tensors: by name, as a file has them.
        names: gives those that the network has; asked only where all in the file begin alike.
        source: of the file, for the warning.
    """
    given = dict(tensors)
    prefix = _wrapper(given)
    own = _lasting(names()) if prefix else set()
    if not prefix or _lasting(given) == own:
        return given
    found, taken = given, ""
    while prefix := _wrapper(found):
        found, taken = {key.removeprefix(prefix): value for key, value in found.items()}, taken + prefix
        if _lasting(found) == own:
            warnings.warn(f"{source}: {taken!r} before every name is a wrapper's, and was taken off.", stacklevel=3)
            return found
    return given


def _wrapper(tensors: Mapping[str, Tensor]) -> str:
    """What all names begin with, up to a dot; empty where they begin otherwise."""
    first = {key.partition(".")[0] for key in tensors if "." in key}
    return f"{first.pop()}." if len(first) == 1 and all("." in key for key in tensors) else ""


def _lasting(names: Iterable[str]) -> set[str]:
    return {name for name in names if not name.endswith("num_batches_tracked")}


def fit_weights(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict into the network; every key and shape must agree.

    Batch normalisation's step counts may be missing, since old files lack them and no output depends on them.

    Raises:
        DataError: keys are missing or not known, or shapes differ; names a few of each.
    """
    own = network.state_dict()
    missing = [key for key in own if key not in tensors and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in tensors if key not in own]
    differing = [
        f"{key} is {_shape(tensors[key])} in the file, {_shape(own[key])} in the model"
        for key in own
        if key in tensors and tensors[key].shape != own[key].shape
    ]
    complaints = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (
            ("missing from the file", missing),
            ("not in the model", unexpected),
            ("of another shape", differing),
        )
        if keys
    ]
    if complaints:
        raise DataError(
            f"The weights do not fit {source}: of {len(own)} tensors, {'; '.join(complaints)}. "
            "Check the model's name and options, the classes and the input's shape."
        )
    network.load_state_dict(tensors, strict=False)


def classifier_path(network: nn.Module) -> str | None:
    """The path of the last ``nn.Linear`` that was defined, by convention the classifier; None if there is none."""
    return next((path for path, m in reversed(list(network.named_modules())) if isinstance(m, nn.Linear)), None)


def _read_pickle(path: Path) -> dict[str, Tensor]:
    _refuse_other_kinds(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"{path} holds more than tensors, and reading it could run code. Where you trust it, load it yourself and "
            "save its state dict as safetensors."
        ) from None
    except Exception as error:  # an odd pickle can make its reader raise anything
        raise DataError(f"{path} cannot be read: {error}. It may be damaged; copy it again.") from None
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if isinstance(content, dict) and not _is_state(content):
        states = [key for key, value in content.items() if isinstance(value, dict) and value and _is_state(value)]
        if len(states) > 1:
            raise DataError(
                f"{path} holds several state dicts ({', '.join(map(str, states[:8]))}). Load the one that is meant, "
                "and save it alone as safetensors."
            )
        content = content[states[0]] if states else None
    if content is None or not _is_state(content):
        raise DataError(f"{path} holds no state dict (a mapping from names to tensors).")
    _refuse_other_tensors(path, content)
    if content and all(key.startswith("module.") for key in content):
        content = {key.removeprefix("module."): value for key, value in content.items()}
    return dict(content)


def _refuse_other_kinds(path: Path) -> None:
    """Say what a file is that torch would only call dangerous or damaged.

    Raises:
        DataError: it is a program, damaged, or neither of the two kinds of file that torch writes.
    """
    with path.open("rb") as file:
        begin = file.read(2)
    if begin == b"PK":
        try:
            with zipfile.ZipFile(path) as archive:
                names, damaged = archive.namelist(), archive.testzip()
        except Exception as error:  # a damaged directory can make it raise anything
            raise DataError(f"{path} is damaged: {error}. Copy it again.") from None
        if any(name.partition("/")[2] == "constants.pkl" for name in names):
            raise DataError(
                f"{path} is a program (TorchScript), which holds no weights alone. Where you trust it, save "
                "torch.jit.load(FILE).state_dict() as safetensors."
            )
        if damaged is not None:  # torch reads flipped bits as other numbers
            raise DataError(f"{path} is damaged: the checksum of {damaged} in it does not fit. Copy it again.")
    elif begin[:1] != b"\x80":
        raise DataError(
            f"{path} is nothing that torch saved: it begins with {begin!r}. It may be a pointer that git left in its "
            "place (`git lfs pull` fetches the file), a web page, or packed: fetch it again, or unpack it."
        )


def _refuse_other_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    for name, tensor in state.items():
        kinds = (
            (tensor.is_meta, "on the meta device, without numbers"),
            (tensor.layout != torch.strided, f"sparse ({str(tensor.layout).removeprefix('torch.')})"),
            (tensor.is_quantized, "quantised"),
            (tensor.is_complex(), "complex"),
        )
        kind = next((said for so, said in kinds if so), None)
        if kind is not None:
            raise DataError(
                f"{path}: {name} is {kind}, and weights are read that are plain real numbers. Save them so, as "
                "safetensors."
            )


def _is_state(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())


def _check_known(known: Mapping[str, Any], path: Path) -> None:
    """Refuse numbers that no model has."""
    names, number = known.get("class_names"), known.get("num_classes")
    normalise = known.get("normalise") or {}
    mean, std = normalise.get("mean") or [], normalise.get("std") or []
    for wrong, said in (
        (number is not None and number < 1, f"it has {number} classes"),
        (names is not None and number is not None and len(names) != number, f"{number} classes have other names"),
        (min(known.get("input_shape", [1]), default=0) < 1, f"its input is {known.get('input_shape')}"),
        ((known.get("size") or 1) < 1, f"its size is {known.get('size')}"),
        (len(mean) != len(std) or min(std, default=1) <= 0, "each mean needs a positive deviation"),
        (normalise.get("mode") == "given" and not mean, "the numbers of its normalisation are missing"),
    ):
        if wrong:
            raise DataError(f"What {path} says of its model cannot be: {said}. It may be damaged; copy it again.")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"
