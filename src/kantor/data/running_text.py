"""Running text for language models: files of it, or a table's column, cut into pieces that every tokenizer takes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kantor.core.errors import ConfigError, DataError
from kantor.core.optional import optional
from kantor.data import split
from kantor.data.pieces import PASSAGE, passages, pieces
from kantor.data.roles import assign, like_a_part
from kantor.data.source import Found, Source
from kantor.data.texts import Texts
from kantor.data.tokenizer import Learned, Tokenizer
from kantor.data.views import View

ENDING = ".txt"
_INPUT = "text"
_TEST_SHARE = 0.2
_PASSAGES = 50
"""Passages at least that are made where a share of them is cut off for the test; but none below so many letters:"""
_SHORTEST = 400

Documents = Mapping[str, Sequence[tuple[Path, Callable[[], Iterable[str]]]]]
"""By part as it is called on disk: files, each with what reads its documents."""


def find_running(place: Path) -> dict[str, list[Path]]:
    """Files of running text by part; ``{}`` where there are none.

    A file is the training part. In a folder, files and folders are parts by their names (``train.txt``,
    ``valid/a.txt``); where none is called so, every file in it, however deep, is of the training part.
    """
    if not place.is_dir():
        return {"train": [place]} if place.suffix.lower() == ENDING and place.is_file() else {}
    found: dict[str, list[Path]] = {}
    for entry in sorted(place.iterdir()):
        if like_a_part(entry.stem if entry.is_file() else entry.name) is None:
            continue
        files = _texts_in(entry)
        if files:
            found.setdefault(entry.stem if entry.is_file() else entry.name, []).extend(files)
    every = _texts_in(place)
    return found or ({"train": every} if every else {})


def read_running(place: Path, tokenizers: Mapping[str, Tokenizer | Learned]) -> Found:
    """Files of text as every role's tokenizer gives them, a piece a sample; see :func:`found_in`.

    Raises:
        DataError: a file is no text in UTF-8, or there is no training part.
    """
    files = find_running(place)
    documents = {part: [(path, lambda path=path: [_content(path)]) for path in paths] for part, paths in files.items()}
    return found_in(documents, tokenizers, place)


def found_in(documents: Documents, tokenizers: Mapping[str, Tokenizer | Learned], place: Path) -> Found:
    """Documents cut into pieces, each a sample whose labels are its own tokens: those of the student.

    A piece is as long as every role's tokenizer takes whole. Where the data bring no test part, a fifth of the passages
    (:func:`kantor.data.pieces.passages`) is cut off by a fixed hash; a tokenizer that is to be learned sees the others
    alone.

    Args:
        documents: by part.
        tokenizers: by role, what turns texts into tokens.
        place: the data, for messages.

    Raises:
        ConfigError: no tokenizer, or one that takes too few tokens.
        DataError: no training part, or a part without text.
    """
    if not tokenizers:
        raise ConfigError(f"{place} holds texts: say with tokenizers={{'student': ...}} what turns them into tokens.")
    used, notes = assign(documents, str(place))
    held = {part: documents[name] for part, name in used.items()}
    held_out = None if "test" in held else _letters(held["train"])
    size = PASSAGE if held_out is None else min(PASSAGE, max(_SHORTEST, held_out // _PASSAGES))
    cut = {part: [[*_passages(read(), size)] for _, read in files] for part, files in held.items()}
    test = None if held_out is None else _for_test(sum(map(len, cut["train"])))
    seen = [text for k, text in enumerate(t for file in cut["train"] for t in file) if test is None or not test[k]]
    ready = {
        role: replace(found.of(seen) if isinstance(found, Learned) else found, predicts=True)
        for role, found in tokenizers.items()
    }
    distinct = list(dict.fromkeys(ready.values()))
    sources, of_test = {}, np.empty(0, dtype=bool)
    for part, files in held.items():
        made = [[[*_pieces(text, distinct)] for text in file] for file in cut[part]]
        sizes = [(path, sum(map(len, file))) for (path, _), file in zip(files, made, strict=True)]
        if not sum(size for _, size in sizes):
            raise DataError(f"{files[0][0]}: the {part} part holds no text. Remove the file, or fill it.")
        flat = [piece for file in made for passage in file for piece in passage]
        if part == "train" and test is not None:
            of_test = np.repeat(test, [len(passage) for file in made for passage in file])
        sources[part] = Source(np.empty((len(flat), 0), dtype=np.int64), {_INPUT: _as_texts(flat, sizes)})
    cuts = {}
    if test is not None:
        cuts = {"test": np.flatnonzero(of_test), "train": np.flatnonzero(~of_test)}
        notes["test"] = f"the data brings no test part: {_TEST_SHARE:.0%} of its passages are cut by a fixed hash"
    read = {"files": {part: [path.name for path, _ in files] for part, files in held.items()}}
    views = {role: View(_INPUT, tokens=found) for role, found in ready.items()}
    classes = (ready.get("student") or distinct[0]).tokens
    return Found(classes, sources, views, cuts, kind="next", notes={**read, **notes})


def _texts_in(place: Path) -> list[Path]:
    if place.is_file():
        return [place] if place.suffix.lower() == ENDING else []
    return sorted(path for path in place.rglob("*") if path.suffix.lower() == ENDING and path.is_file())


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 (byte {error.start}). Convert it, or leave it out.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from None


def _letters(files: Sequence[tuple[Path, Callable[[], Iterable[str]]]]) -> int:
    return sum(len(document) for _, read in files for document in read())


def _passages(documents: Iterable[str], size: int) -> Iterable[str]:
    return (passage for document in documents if document for passage in passages(document, size))


def _pieces(passage: str, tokenizers: Sequence[Tokenizer]) -> Iterable[str]:
    return (piece for piece in pieces(passage, tokenizers) if piece.strip())


def _for_test(count: int) -> np.ndarray:
    """Which passages are the test part's."""
    if count < 2:
        raise DataError("There is too little text to cut a test part from. Give a test.txt beside train.txt.")
    rows = np.arange(count)
    chosen = split.choose(np.zeros(count, np.int64), rows, split.share(_TEST_SHARE, count), split.TEST, leave_one=True)
    return np.isin(rows, chosen)


def _as_texts(flat: list[str], sizes: list[tuple[Path, int]]) -> Texts:
    with optional("Text needs pyarrow", "text"):
        import pyarrow as pa
    return Texts(pa.chunked_array([pa.array(flat, type=pa.large_string())]), sizes, what="piece")
