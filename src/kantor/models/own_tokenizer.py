"""The tokenizer that a model brings: in its weights file, or in a checkpoint's folder."""

from pathlib import Path
from typing import Any

from kantor.core.errors import ConfigError, DataError
from kantor.core.optional import optional
from kantor.core.reading import read_json
from kantor.data.tokenizer import Tokenizer, longest_of
from kantor.models.loading import known_of
from kantor.models.pretrained import has_weights, in_gguf
from kantor.models.spec import Spec
from kantor.models.torchvision_unseen import torchvision_unseen

_FILE = "tokenizer.json"
_OLDER = ("vocab.txt", "vocab.json", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
_NO_LIMIT = 1_000_000
"""What a configuration says where it knows no limit is larger."""


def own_tokenizer(name: str, asked: int | None = None) -> Tokenizer | None:
    """What a model's texts become tokens by; None where it brings nothing, as an architecture does.

    Args:
        name: the model's, see :func:`kantor.load`.
        asked: tokens that texts are cut to; the model's own limit, at most 128, if left out.

    Raises:
        ConfigError: a checkpoint with weights lacks its tokenizer, or takes fewer tokens than asked for.
        DataError: it cannot be read.
    """
    spec, known = known_of(name)
    limit = _limit_of(spec, known)
    if "tokenizer" in known:
        own = Tokenizer.read(known["tokenizer"])
        longest = own.longest if asked is None else longest_of(asked, limit, name)
        return Tokenizer(own.content, longest, own.padding, own.origin)
    if spec.family != "transformers":
        return None
    longest, folder = longest_of(asked, limit, name), Path(spec.name)
    if folder.is_dir() and not any((folder / file).is_file() for file in (_FILE, *_OLDER)):
        if has_weights(name):
            raise ConfigError(
                f"{folder} holds a model of texts without its tokenizer, {_FILE}. Copy it there: weights mean nothing "
                "beside another's tokens."
            )
        return None
    return _read(folder, longest)


def needed_tokenizer(name: str) -> Tokenizer:
    """:func:`own_tokenizer` of a model that is to see texts as it is.

    Raises:
        ConfigError: it brings none.
    """
    found = own_tokenizer(name)
    if found is None:
        raise ConfigError(
            f"{name} brings no tokenizer, and the data are texts. Give a file that kantor wrote, which holds one, or "
            "transformers:FOLDER with its tokenizer.json."
        )
    return found


def read_tokenizer(place: Path, asked: int | None) -> Tokenizer:
    """A tokenizer from its ``tokenizer.json``, or from the folder of one.

    Raises:
        ConfigError: there is none.
        DataError: it cannot be read.
    """
    folder = place if place.is_dir() else place.parent
    if not (place.is_file() or any((place / file).is_file() for file in (_FILE, *_OLDER))):
        raise ConfigError(f"There is no tokenizer at {place}: give bpe:SIZE, a {_FILE}, or the folder of one.")
    return _read(folder, longest_of(asked, None, str(place)), place if place.is_file() else None)


def limit_of(name: str) -> int | None:
    """How many tokens a model takes; None where it takes any number."""
    return _limit_of(*known_of(name))


def _limit_of(spec: Spec, known: dict[str, Any]) -> int | None:
    if spec.family != "transformers":
        return None
    folder = Path(spec.name)
    said = known.get("recipe") or _json(folder / "config.json")
    limits = [_json(folder / "tokenizer_config.json").get("model_max_length"), *map(said.get, _POSITIONS)]
    return min(
        (int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < _NO_LIMIT), default=None
    )


_POSITIONS = ("max_position_embeddings", "n_positions")


def _read(folder: Path, longest: int, file: Path | None = None) -> Tokenizer:
    file = file or folder / _FILE
    said = {**_json(folder / "special_tokens_map.json"), **_json(folder / "tokenizer_config.json")}.get("pad_token")
    padding = said.get("content") if isinstance(said, dict) else said
    if file.is_file():
        try:
            content = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file} cannot be read: {error}. Copy it again.") from None
        return Tokenizer.of(content, longest, str(folder if file.name == _FILE else file), padding)
    return _converted(folder, longest)


def _converted(folder: Path, longest: int) -> Tokenizer:
    """A tokenizer of an older form, in a GGUF file, or one of the Hub."""
    place, gguf = in_gguf(str(folder))
    with torchvision_unseen():
        with optional(f"The tokenizer of {folder} needs transformers", "text"):
            from transformers import AutoTokenizer  # pyright: ignore[reportMissingImports]
        try:
            made: Any = AutoTokenizer.from_pretrained(place, trust_remote_code=False, **gguf)
            content = made.backend_tokenizer.to_str()
        except Exception as error:  # what a folder says can make transformers raise anything
            raise ConfigError(f"The tokenizer of {folder} cannot be read: {error}.") from None
    return Tokenizer.of(content, longest, str(folder), made.pad_token_id)


def _json(path: Path) -> dict[str, Any]:
    return read_json(path, dict[str, Any], "Copy it again.") if path.is_file() else {}
