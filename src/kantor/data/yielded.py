"""Whatever yields samples or batches -> named arrays: loaders, data sets of torch and torchvision, streams, lists.

Everything is read once, in its own order and without the loader's shuffling, and kept in memory. So a sample has one
number for good, and order, augmentation, caches and resume are what they are for every other data set. A transform
that draws at random inside the data set is drawn once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler, Subset, SubsetRandomSampler

from kantor.core.errors import DataError
from kantor.data.batch import Batch
from kantor.data.images import resize
from kantor.data.labels import OBVIOUS
from kantor.data.pixels import as_seen, opened
from kantor.data.roles import PARTS
from kantor.data.token_array import BESIDE, IDS, MASK

Arrays = dict[str, Shaped[np.ndarray, "..."]]

HOW = (
    "A sample or a batch is (inputs, label), a mapping of tensors by name with a label among them, or a kantor.Batch; "
    "parts are given as {'train': ..., 'validation': ..., 'test': ...}"
)
_INPUT, _LABEL = "x", "label"
_OF_TARS = {"cls": _LABEL, **dict.fromkeys(("jpg", "jpeg", "png", "webp", "ppm", "bmp"), "image")}
"""What WebDataset calls things by, from the endings of files in a tar."""
_NAMES = ("classes", "class_names")
_LARGEST = 4 * 2**30
"""Bytes of samples that are kept."""
_INSTEAD = "Give the data set, or a torch.utils.data.Subset of it"


def yields(given: Any) -> bool:
    """Whether something yields samples, or holds parts that do; arrays by name hold their samples themselves."""
    if isinstance(given, Mapping):
        return bool(given) and set(given) <= {*PARTS, *_NAMES} and not any(map(_is_array, _parts(given).values()))
    if isinstance(given, str | bytes | np.ndarray | Tensor | Image.Image | type):
        return False
    if is_pair(given):
        return True
    if isinstance(given, Sequence):
        return bool(given) and isinstance(given[0], tuple | Mapping | Batch)
    return hasattr(given, "__iter__") or (hasattr(given, "__getitem__") and hasattr(given, "__len__"))


def is_pair(given: Any) -> bool:
    """Whether something is inputs and labels of all samples, ``(x, y)``, as scikit-learn has them."""
    return (
        isinstance(given, tuple)
        and len(given) == 2
        and all(isinstance(x, Tensor | np.ndarray) and x.ndim for x in given)
        and len(given[0]) == len(given[1])
    )


def arrays_of(given: Any, where: str, image_size: int | None = None) -> Arrays:
    """Arrays by name, as an npz has them, of whatever yields samples (:func:`yields`).

    What a mapping calls its entries are the arrays' names; of a pair they are ``x`` and ``label``. Images of Pillow
    and in bytes become uint8; token lists of other lengths are filled with zeros. Class names are the data set's own
    (``classes``, or the features of a Hugging Face data set).

    Args:
        given: one source of samples, or one for each part by its name; beside them perhaps ``classes``.
        where: what to call it in messages.
        image_size: side that images are resized to as they are read, which may be of any size then.

    Raises:
        DataError: nothing is yielded, samples do not fit each other, or there are too many to be kept.
    """
    parts = _parts(given) if isinstance(given, Mapping) else {"train": given}
    arrays: Arrays = {}
    for name, source in parts.items():
        part = PARTS[name]
        place = f"{where}, {part} part" if len(parts) > 1 else where
        source = dict(zip((_INPUT, _LABEL), source, strict=True)) if is_pair(source) else source
        found = dict(_named(source)) if isinstance(source, Mapping) else _read(source, place, image_size)
        names = next((given[key] for key in _NAMES if isinstance(given, Mapping) and key in given), None)
        names = _class_names(source) if names is None else list(names)
        if names and "class_names" not in found:
            found["class_names"] = np.asarray(names)
        arrays |= {f"{key}_{part}": array for key, array in found.items()} if len(parts) > 1 else found
    return arrays


def _parts(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: source for name, source in given.items() if name in PARTS}


def _is_array(given: Any) -> bool:
    return isinstance(given, np.ndarray | Tensor) or (
        isinstance(given, Sequence) and not isinstance(given, str) and bool(given) and isinstance(given[0], int | float)
    )


def _named(source: Mapping[str, Any]) -> Iterator[tuple[str, Shaped[np.ndarray, "..."]]]:
    """A part that is arrays by name already."""
    for key, value in source.items():
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        yield str(key), array


def _read(source: Any, where: str, image_size: int | None) -> Arrays:
    """Every sample of one source."""
    columns: dict[str, list[np.ndarray]] = {}
    samples = held = 0
    for entries in _batches(source, where):
        rows = {name: _rows(values, image_size, f"{where}, {name!r}") for name, values in entries.items()}
        kept = {name: array for name, array in rows.items() if array.dtype.kind not in "USO" or name in OBVIOUS}
        if not samples:
            columns = {name: [] for name in kept}
        if set(kept) != set(columns):
            raise DataError(
                f"{where}: sample {samples} holds {', '.join(kept) or 'nothing'}, and those before it "
                f"{', '.join(columns)}. Yield the same of every sample."
            )
        lengths = {name: len(array) for name, array in kept.items()}
        if len({*lengths.values()}) > 1:
            raise DataError(f"{where}: a batch holds unequal numbers of samples: {lengths}. {HOW}.")
        for name, array in kept.items():
            columns[name].append(array)
        samples, held = samples + next(iter(lengths.values()), 0), held + sum(x.nbytes for x in kept.values())
        if held > _LARGEST:
            raise DataError(
                f"{where}: its samples take more than {_LARGEST / 2**30:g} GB, and are kept in memory. Give smaller "
                "images (image_size), or write them to a folder of class folders or parquet files, which are read as "
                "they are needed."
            )
    if not samples:
        again = " It was read before, and yields once: give what can be read again" if _once(source) else f" {HOW}"
        raise DataError(f"{where} ({type(source).__name__}) yields no sample.{again}.")
    if not set(columns) - set(OBVIOUS):
        raise DataError(
            f"{where} yields nothing that a network sees: texts are read from files. Give a datasets.Dataset of them, "
            "or write them down: pandas.DataFrame({'text': ..., 'label': ...}).to_csv('texts.csv'), and give its path."
        )
    joined = {name: _joined(name, pieces, where) for name, pieces in columns.items()}
    return _with_mask(joined, columns)


def _once(source: Any) -> bool:
    return isinstance(source, Iterator)


def _batches(source: Any, where: str) -> Iterator[dict[str, list[Any]]]:
    """By name, the values of some samples at a time."""
    if isinstance(source, DataLoader):
        yield from _of_loader(source, where)
    elif hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, IterableDataset):
        for row in range(len(source)):
            yield {name: [value] for name, value in _entries(source[row], where).items()}
    elif isinstance(source, Iterable):
        for one in source:
            entries = _entries(one, where)
            yield entries if _is_batch(entries) else {name: [value] for name, value in entries.items()}
    else:
        raise DataError(f"{where} is a {type(source).__name__}, which yields no samples. {HOW}.")


def _of_loader(loader: "DataLoader[Any]", where: str) -> Iterator[dict[str, list[Any]]]:
    """The samples of a loader's data set, in that data set's order and put together as the loader does it."""
    dataset, sampler = loader.dataset, loader.sampler
    if isinstance(dataset, IterableDataset):
        in_order: Iterable[Any] = loader
    else:
        if isinstance(sampler, SubsetRandomSampler):
            dataset = Subset(dataset, sorted(map(int, sampler.indices)))
        elif not isinstance(sampler, SequentialSampler | RandomSampler):
            kind = type(sampler).__name__
            raise DataError(f"{where}: its loader draws by a {kind}, and a study orders samples itself. {_INSTEAD}.")
        if loader.batch_size is None and loader.batch_sampler is not None:
            raise DataError(f"{where}: its loader has a batch_sampler, and a study orders samples itself. {_INSTEAD}.")
        in_order = DataLoader(
            dataset, batch_size=loader.batch_size, collate_fn=loader.collate_fn, num_workers=loader.num_workers
        )
    for batch in in_order:
        entries = _entries(batch, where)
        yield entries if loader.batch_size or _is_batch(entries) else {k: [value] for k, value in entries.items()}


def _entries(one: Any, where: str) -> dict[str, Any]:
    """What a sample or a batch holds, by name."""
    if isinstance(one, Batch):
        roles = {id(x): (role, x) for role, x in reversed([*one.inputs.items()])}
        inputs = dict(roles.values()) if len(roles) > 1 else {_INPUT: next(iter(one.inputs.values()))}
        return _flat(inputs) | ({} if one.targets is None else {_LABEL: one.targets})
    if isinstance(one, Mapping):
        return {_OF_TARS.get(name, name): x for name, x in _flat(one).items() if not name.startswith("__")}
    if isinstance(one, tuple | list) and len(one) in (1, 2):
        inputs = _flat(one[0]) if isinstance(one[0], Mapping) else {_INPUT: one[0]}
        return inputs | ({_LABEL: one[1]} if len(one) == 2 else {})
    if isinstance(one, Tensor | np.ndarray | Image.Image):
        return {_INPUT: one}
    many = f" of {len(one)}" if isinstance(one, tuple | list) else ""
    raise DataError(f"{where} yields a {type(one).__name__}{many}. {HOW}.")


def _flat(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """Entries of a mapping and of mappings in it; what is None is not there."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        found |= _flat(value) if isinstance(value, Mapping) else {} if value is None else {str(key): value}
    return found


def _is_batch(entries: Mapping[str, Any]) -> bool:
    """Whether entries are of several samples: each has a first dimension, of one length, and labels have it too."""
    sizes = {
        len(x) if isinstance(x, list | tuple) or (isinstance(x, Tensor | np.ndarray) and x.ndim) else None
        for x in entries.values()
    }
    tensors = [x for x in entries.values() if isinstance(x, Tensor | np.ndarray)]
    return len(sizes) == 1 and None not in sizes and (len(entries) > 1 or any(x.ndim > 3 for x in tensors))


def _rows(values: Any, image_size: int | None, where: str) -> Shaped[np.ndarray, "rows ..."]:
    """One name's values of some samples, as an array."""
    if isinstance(values, list | tuple):
        made = [_value(value, image_size, where) for value in values]
        if len({array.shape for array in made}) > 1:
            made = _of_one_shape(made, where)
        return np.stack(made)
    array = _value(values, None, where)
    if image_size is not None and array.ndim == 4 and array.shape[1] in (1, 3):
        return resize(torch.from_numpy(np.ascontiguousarray(array)), image_size).numpy()
    return array


def _value(value: Any, image_size: int | None, where: str) -> Shaped[np.ndarray, "..."]:
    """One value as an array; an image as ``[channels, height, width]``."""
    if isinstance(value, bytes):
        value = _of_bytes(value, where)
    if isinstance(value, Image.Image):
        pixels = np.array(as_seen(value))
        value = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if isinstance(value, Tensor):
        value = (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{where} is a {type(value).__name__}, of which numpy makes no array: {error}.") from None
    if array.dtype.kind == "O":
        raise DataError(f"{where} is a {type(value).__name__}; give a tensor, an image, a number or text. {HOW}.")
    if image_size is not None and array.ndim == 3 and array.shape[0] in (1, 3):
        array = resize(torch.from_numpy(np.ascontiguousarray(array))[None], image_size)[0].numpy()
    return array


def _of_bytes(content: bytes, where: str) -> Any:
    """An image file, or a number or text in digits and letters, as they lie in a tar."""
    try:
        text = content.decode("ascii").strip()
        return int(text) if text.lstrip("-").isdigit() else text
    except UnicodeDecodeError:
        pass
    try:
        return opened(content)
    except Exception as error:  # whatever a decoder raises
        raise DataError(f"{where} holds bytes that are no image: {error}.") from None


def _joined(name: str, pieces: list[np.ndarray], where: str) -> Shaped[np.ndarray, "n ..."]:
    """The rows of all pieces, of one shape."""
    shapes = {piece.shape[1:] for piece in pieces}
    if len(shapes) > 1 and (name in (IDS, *BESIDE) or all(len(shape) == 3 for shape in shapes)):
        rows = _of_one_shape([row for piece in pieces for row in piece], f"{where}, {name!r}")
        return np.stack(rows)
    if len(shapes) > 1:
        raise DataError(f"{where}, {name!r}: samples have other shapes: {_some(shapes)}. Give all of them one shape.")
    return np.concatenate(pieces)


def _of_one_shape(rows: list[np.ndarray], where: str) -> list[np.ndarray]:
    """Tokens filled up with zeros; grey images among those in colour in three channels."""
    shapes = {row.shape for row in rows}
    if all(row.ndim == 1 and row.dtype.kind in "iub" for row in rows):
        longest = max(len(row) for row in rows)
        return [np.pad(row, (0, longest - len(row))) for row in rows]
    if all(len(shape) == 3 for shape in shapes) and len({shape[1:] for shape in shapes}) == 1:
        return [np.repeat(row, 3, axis=0) if row.shape[0] == 1 else row for row in rows]
    remedy = "Say to what side they are resized: image_size." if all(len(s) == 3 for s in shapes) else "Give one shape."
    raise DataError(f"{where}: samples have other shapes: {_some(shapes)}. {remedy}")


def _some(shapes: Iterable[tuple[int, ...]]) -> str:
    return ", ".join(str(list(shape)) for shape in sorted(shapes)[:4])


def _with_mask(arrays: Arrays, columns: Mapping[str, list[np.ndarray]]) -> Arrays:
    """Tokens of unequal lengths get the mask that says which of them were there."""
    if IDS not in arrays or MASK in arrays or len({piece.shape[1:] for piece in columns[IDS]}) == 1:
        return arrays
    lengths = np.asarray([len(row) for piece in columns[IDS] for row in piece])
    return arrays | {MASK: (np.arange(arrays[IDS].shape[1]) < lengths[:, None]).astype(np.int64)}


def _class_names(source: Any) -> list[str] | None:
    """The names of classes that a data set has, looked for in what it is a loader or a subset of."""
    for _ in range(8):
        features = getattr(source, "features", None)
        of_labels = next((features[key] for key in OBVIOUS if isinstance(features, Mapping) and key in features), None)
        for found in (getattr(source, "classes", None), getattr(of_labels, "names", None)):
            if isinstance(found, list | tuple) and found and all(isinstance(name, str) for name in found):
                return list(found)
        source = getattr(source, "dataset", None)
    return None
