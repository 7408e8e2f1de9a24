"""Word vectors: class names to vectors, by their words where a name has none of its own."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from kantor.core.errors import DataError, suggest
from kantor.core.files import read_npz

Vector = Float64[np.ndarray, " dim"]


def word_vectors(path: Path, names: Sequence[str]) -> Float64[np.ndarray, "names dim"]:
    """A vector for each class name, from a file of word vectors.

    A name is looked up whole, as it is and in lower case; else by its first comma-separated synonym that can be; else
    as the mean of the vectors of its words (``sports_car``, ``t-shirt``, ``SportsCar``), each of which must be there.

    Args:
        path: text as GloVe and word2vec write it (a word, then its numbers, a line each), or an npz with arrays
            ``words`` and ``vectors``.
        names: class names.

    Raises:
        DataError: the file cannot be read, or a name has no vector; the name and its missing words are named.
    """
    known = _read(path, set().union(*(_needed(name) for name in names)))
    return np.stack([_resolved(name, known, path) for name in names])


def _resolved(name: str, known: Mapping[str, Vector], path: Path) -> Vector:
    for synonym in _synonyms(name):
        for form in _whole(synonym):
            if form in known:
                return known[form]
        words = _words(synonym)
        if words and all(word in known for word in words):
            return np.mean([known[word] for word in words], axis=0)
    missing = [word for word in _words(name) if word not in known]
    raise DataError(
        f"Class {name!r} has no vector in {path}: {', '.join(missing) or 'nothing in it'} is missing. "
        f"{suggest(missing[0], known) if missing and known else ''} Rename the class, or use other word vectors."
    )


def _synonyms(name: str) -> list[str]:
    return [name, *(part.strip() for part in name.split(","))] if "," in name else [name]


def _whole(name: str) -> list[str]:
    name = name.strip()
    return [name, name.lower(), re.sub(r"[\s_]+", "-", name.lower()), re.sub(r"[\s-]+", "_", name.lower())]


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.split(r"[\W_]+", apart) if word]


def _needed(name: str) -> set[str]:
    return {form for synonym in _synonyms(name) for form in (*_whole(synonym), *_words(synonym))}


def _read(path: Path, wanted: set[str]) -> dict[str, Vector]:
    if not path.is_file():
        raise DataError(f"There is no file of word vectors {path}.")
    return _read_npz(path, wanted) if path.suffix == ".npz" else _read_text(path, wanted)


def _read_npz(path: Path, wanted: set[str]) -> dict[str, Vector]:
    try:
        arrays = read_npz(path, "Copy it again.")
        words, vectors = arrays["words"], arrays["vectors"]
    except KeyError as error:
        raise DataError(f"{path} is no npz with arrays `words` and `vectors`: {error}.") from None
    if vectors.ndim != 2 or words.ndim != 1 or len(words) != len(vectors) or vectors.dtype.kind not in "iuf":
        raise DataError(f"{path}: {len(words)} words and vectors of shape {vectors.shape} do not fit.")
    return _finite(
        {str(w): vectors[i].astype(np.float64) for i, w in enumerate(words) if str(w) in wanted}.items(), path
    )


def _read_text(path: Path, wanted: set[str]) -> dict[str, Vector]:
    found: dict[str, Vector] = {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            word, _, rest = line.rstrip().partition(" ")
            if word not in wanted or word in found:
                continue
            if number == 1 and re.fullmatch(r"\d+ \d+", line.strip()):  # word2vec's header: how many, and how long
                continue
            try:
                found[word] = np.array([float(x) for x in rest.split()])
            except ValueError:
                raise DataError(f"{path}, line {number}: {word!r} is not followed by numbers alone.") from None
    lengths = {len(vector) for vector in found.values()}
    if len(lengths) > 1:
        raise DataError(f"{path} holds vectors of different lengths: {sorted(lengths)}.")
    return _finite(found.items(), path)


def _finite(items: Iterable[tuple[str, Vector]], path: Path) -> dict[str, Vector]:
    found = dict(items)
    for word, vector in found.items():
        if not np.isfinite(vector).all():
            raise DataError(f"{path}: the vector of {word!r} is not finite.")
    return found
