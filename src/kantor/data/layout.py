"""Paths of files -> parts, classes and images: which folders are parts, which are classes, what is left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from kantor.core.errors import DataError
from kantor.data.labels import UNLABELLED
from kantor.data.listing import Listing
from kantor.data.roles import like_a_part, part_of

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)
"""Of images, in any case."""

# Left out in silence, these would be samples missing from a data set that looks complete.
_OTHER_IMAGES = (".heic", ".heif", ".jxl", ".svg", ".psd", ".exr", ".hdr", ".dcm", ".dng", ".nef", ".cr2", ".arw")


@dataclass(frozen=True)
class Layout:
    """What lies where."""

    parts: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """Images, as positions in the listing, by part (as it is called there; ``train`` where none is) and class."""
    others: list[str] = field(default_factory=list)
    """Files that are no images of a part."""


def arranged(listing: Listing, where: str, need_labels: bool) -> Layout:
    """Sort files into parts and classes, by the folders that they lie in.

    Folders at the top are parts where their names say so: ``train``, ``Testing``, ``val_images``; a folder ``train``
    that holds images directly, beside others that do, is a class. ``seg_train`` is a part where every folder with
    images is called like one.

    Raises:
        DataError: no class folders, an empty one, images outside them, a format that is not read, or folders that may
            be parts or classes.
    """
    folders = _unwrapped(_folders(listing))
    split = _parts(folders, where)
    if split:
        folders = _unwrapped_inside(folders, split, listing.names)
    filled = [folder for folder in folders if folder.images]
    flat = not need_labels and all(len(x.pieces) == (bool(x.pieces) and x.pieces[0] in split) for x in filled)
    layout = Layout()
    for folder in folders:
        part, inside = (folder.pieces[:1], folder.pieces[1:]) if split else (("train",), folder.pieces)
        known = not split or bool(part and part[0] in split)
        if not known:
            layout.others.extend(listing.names[k] for k in (*folder.images, *folder.others))
            continue
        for k in folder.others:
            if suffix_of(listing.names[k]) in _OTHER_IMAGES:
                raise DataError(
                    f"{where}: {shown(listing.names[k])} is in a format that is not read. Convert it to .png or .jpg."
                )
            layout.others.append(listing.names[k])
        if folder.images and not flat and not inside:
            raise DataError(
                f"{where}: image {shown(listing.names[folder.images[0]])} is in no class folder. Put it into one named "
                "as its class, or list all images in a metadata.csv with columns file_name and label. Only --task none "
                "does without, where no image has one."
            )
        if folder.images or (folder.listed and (split or inside)):
            classes = layout.parts.setdefault(part[0], {})
            if folder.images or inside:
                classes.setdefault(UNLABELLED if flat and folder.images else inside[0], []).extend(folder.images)
    layout.others.sort()
    _need_images(layout, where, bool(split))
    return layout


def is_image(name: str) -> bool:
    """Whether a path is a file whose ending says that it is an image."""
    return not name.endswith("/") and suffix_of(name) in EXTENSIONS


def is_hidden(pieces: Sequence[str]) -> bool:
    """Whether a path, in pieces, is of a hidden file, or of what a Mac packs beside each."""
    return any(piece.startswith((".", "__MACOSX")) for piece in pieces)


def shown(name: str) -> str:
    """A path as it can be printed on one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in name)


def suffix_of(name: str) -> str:
    """A file's ending, in small letters, with its dot; empty where it has none."""
    base = name[name.rfind("/") + 1 :]
    dot = base.rfind(".")
    return base[dot:].lower() if 0 < dot < len(base) - 1 else ""


@dataclass
class _Folder:
    """One folder, and which of the files in it are seen."""

    pieces: tuple[str, ...]
    """Of its path."""
    listed: bool
    """It is there by itself."""
    images: list[int]
    others: list[int]


def _folders(listing: Listing) -> list[_Folder]:
    """Every folder without its hidden files, and no hidden folder."""
    found: list[_Folder] = []
    known: dict[str, bool] = {}  # by what follows the last dot: millions of names have few endings
    for name, files in listing.folders.items():
        pieces = PurePosixPath(name).parts
        if is_hidden(pieces):
            continue
        folder = _Folder(pieces, name in listing.listed, [], [])
        for k in files:
            file = listing.names[k]
            if file.startswith((".", "__MACOSX"), len(name)):
                continue
            end = file[file.rfind(".") + 1 :]
            seen = known.get(end)
            if seen is None:
                seen = known[end] = suffix_of(file) in EXTENSIONS
            (folder.images if seen else folder.others).append(k)
        if folder.listed or folder.images or folder.others:
            found.append(folder)
    return found


def _unwrapped(folders: list[_Folder]) -> list[_Folder]:
    """Without the single folder an archive is often packed in, and what lies beside it."""
    while True:
        tops = {folder.pieces[0] for folder in folders if folder.pieces}
        at_top = sum(len(folder.others) for folder in folders if not folder.pieces)
        holds_images = any(folder.images and len(folder.pieces) < 2 for folder in folders)
        if len(tops) != 1 or at_top or holds_images or part_of(next(iter(tops))):
            return folders
        folders = [replace(folder, pieces=folder.pieces[1:]) for folder in folders if folder.pieces]


def _parts(folders: Sequence[_Folder], where: str) -> set[str]:
    """The folders at the top that are parts; none where they are classes."""
    tops = {folder.pieces[0] for folder in folders if folder.pieces}
    filled = {folder.pieces[0] for folder in folders if folder.pieces and folder.images}
    deep = {folder.pieces[0] for folder in folders if len(folder.pieces) > 1 and folder.images}
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


def _unwrapped_inside(folders: list[_Folder], parts: set[str], names: list[str]) -> list[_Folder]:
    """Without a second folder of the part's name inside it: ``seg_train/seg_train/CLASS``."""
    inside: dict[str, set[str]] = {}
    for folder in folders:
        if len(folder.pieces) > 1:
            inside.setdefault(folder.pieces[0], set()).add(folder.pieces[1])
        elif folder.pieces:
            files = (names[k] for k in (*folder.images, *folder.others))
            inside.setdefault(folder.pieces[0], set()).update(name[name.rfind("/") + 1 :] for name in files)
    twice = {part for part in parts if inside.get(part) == {part}}
    return [
        replace(folder, pieces=folder.pieces[:1] + folder.pieces[2:])
        if folder.pieces and folder.pieces[0] in twice
        else folder
        for folder in folders
    ]


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
