"""Paths of files -> parts, classes and images: which folders are parts, which are classes, what is left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from kantor.core.errors import DataError
from kantor.data.labels import UNLABELLED
from kantor.data.roles import like_a_part, part_of

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)
"""Of images, in any case."""

# Left out in silence, these would be samples missing from a data set that looks complete.
_OTHER_IMAGES = (".heic", ".heif", ".jxl", ".svg", ".psd", ".exr", ".hdr", ".dcm", ".dng", ".nef", ".cr2", ".arw")

_Path = tuple[tuple[str, ...], str]
"""The pieces of a path, and the path as it was given."""


@dataclass(frozen=True)
class Layout:
    """What lies where."""

    parts: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Images by part (as it is called there; ``train`` where none is) and class."""
    others: list[str] = field(default_factory=list)
    """Files that are no images of a part."""


def arranged(names: Iterable[str], where: str, need_labels: bool) -> Layout:
    """Sort the paths of files (and of folders, which end in ``/``) into parts and classes.

    Folders at the top are parts where their names say so: ``train``, ``Testing``, ``val_images``; a folder ``train``
    that holds images directly, beside others that do, is a class. ``seg_train`` is a part where every folder with
    images is called like one.

    Raises:
        DataError: no class folders, an empty one, images outside them, a format that is not read, or folders that may
            be parts or classes.
    """
    paths = _unwrapped(names)
    split = _parts(paths, where)
    if split:
        paths = _unwrapped_inside(paths, split)
    images = [pieces for pieces, name in paths if is_image(name)]
    flat = not need_labels and all(len(pieces) == 1 + (bool(split) and pieces[0] in split) for pieces in images)
    layout = Layout()
    for pieces, name in paths:
        part, inside = (pieces[0], pieces[1:]) if split else ("train", pieces)
        known = not split or part in split
        if name.endswith("/"):
            if known and split:
                layout.parts.setdefault(part, {})
            if known and inside:
                layout.parts.setdefault(part, {}).setdefault(inside[0], [])
        elif known and _suffix(name) in _OTHER_IMAGES:
            raise DataError(f"{where}: {shown(name)} is in a format that is not read. Convert it to .png or .jpg.")
        elif not known or not is_image(name):
            layout.others.append(name)
        elif flat:
            layout.parts.setdefault(part, {}).setdefault(UNLABELLED, []).append(name)
        elif len(inside) < 2:
            raise DataError(
                f"{where}: image {shown(name)} is in no class folder. Put it into one named as its class, or list "
                "all images in a metadata.csv with columns file_name and label. Only --task none does without, where "
                "no image has one."
            )
        else:
            layout.parts.setdefault(part, {}).setdefault(inside[0], []).append(name)
    layout.others.sort()
    _need_images(layout, where, bool(split))
    return layout


def is_image(name: str) -> bool:
    """Whether a path is a file whose ending says that it is an image."""
    return not name.endswith("/") and _suffix(name) in EXTENSIONS


def is_hidden(pieces: Sequence[str]) -> bool:
    """Whether a path, in pieces, is of a hidden file, or of what a Mac packs beside each."""
    return any(piece.startswith((".", "__MACOSX")) for piece in pieces)


def shown(name: str) -> str:
    """A path as it can be printed on one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in name)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _unwrapped(names: Iterable[str]) -> list[_Path]:
    """The pieces of each path, without hidden files and without the single folder an archive is often packed in."""
    paths = [(PurePosixPath(name).parts, name) for name in names]
    paths = [(pieces, name) for pieces, name in paths if not is_hidden(pieces)]
    while True:
        tops = {pieces[0] for pieces, _ in paths}
        holds_images = any(len(pieces) < 3 and is_image(name) for pieces, name in paths)
        if len(tops) != 1 or part_of(tops.pop()) or holds_images:
            return paths
        paths = [(pieces[1:], name) for pieces, name in paths if len(pieces) > 1]


def _parts(paths: Sequence[_Path], where: str) -> set[str]:
    """The folders at the top that are parts; none where they are classes."""
    tops = {pieces[0] for pieces, name in paths if name.endswith("/") or len(pieces) > 1}
    filled = {pieces[0] for pieces, name in paths if len(pieces) > 1 and is_image(name)}
    deep = {top for top, *below in (pieces for pieces, name in paths if is_image(name)) if len(below) > 1}
    named = {top: part for top in tops if (part := part_of(top))}
    if named and filled <= set(named):
        return set(named)
    if any(part == "train" and top in deep for top, part in named.items()):
        return set(named)
    like = {top: part for top in filled if (part := like_a_part(top))}
    kinds = set(like.values())
    if "train" not in kinds or len(kinds) < 2:
        return set()
    if set(like) == filled == deep:
        return set(like)
    one, other = (shown(next(top for top, part in like.items() if part == kind)) for kind in sorted(kinds)[:2])
    raise DataError(
        f"{where}: {one} and {other} are called like parts, and lie among folders that are called like classes. Name "
        "parts train, validation and test, each with the same class folders, and move what is none away."
    )


def _unwrapped_inside(paths: list[_Path], parts: set[str]) -> list[_Path]:
    """Without a second folder of the part's name inside it: ``seg_train/seg_train/CLASS``."""
    inside: dict[str, set[str]] = {}
    for pieces, _ in paths:
        if len(pieces) > 1:
            inside.setdefault(pieces[0], set()).add(pieces[1])
    twice = {part for part in parts if inside.get(part) == {part}}
    paths = [(pieces[:1] + pieces[2:] if pieces[0] in twice else pieces, name) for pieces, name in paths]
    return [(pieces, name) for pieces, name in paths if pieces]


def _need_images(layout: Layout, where: str, split: bool) -> None:
    for part, classes in layout.parts.items():
        for label in (label for label, images in classes.items() if not images):
            folder = f"{part}/{label}" if split else label
            instead = next((f"; it has {shown(name)}" for name in layout.others if f"{folder}/" in name), "")
            raise DataError(
                f"{where}: class folder {shown(folder)} holds no image ({', '.join(EXTENSIONS)}){instead}. Fill or "
                "remove it."
            )
        if not classes:
            raise DataError(f"{where}: the folder {shown(part)} holds no class folders. Fill or remove it.")
    if not layout.parts:
        raise DataError(
            f"{where} has no class folders. Expected train/CLASS/IMAGE or CLASS/IMAGE, images in "
            f"{', '.join(EXTENSIONS)}; or train*.parquet."
        )
