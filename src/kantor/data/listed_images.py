"""Images whose labels stand in a table beside them: ``metadata.csv``, as Hugging Face's imagefolder has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from jaxtyping import Int64

from kantor.core.errors import DataError
from kantor.data.column_source import labels_in
from kantor.data.columns import label_column
from kantor.data.image_places import LIST_NAMES, TABLE_ENDINGS, ImagePlace, InFolders, InZip
from kantor.data.label_kinds import LabelKind
from kantor.data.layout import EXTENSIONS, is_image, shown
from kantor.data.parquet import reading
from kantor.data.roles import assign, part_of
from kantor.data.source import Found, Source
from kantor.data.tables import ENDINGS, mentions, opener_for, rows_in
from kantor.data.views import choose_views

FILE_NAME = "file_name"
"""The column of the images' paths, below the folder of the table."""


@dataclass(frozen=True)
class ImageLists:
    """Tables that list images."""

    tables: dict[str, Path]
    """Of each part."""
    root: Path
    """The folder that they lie in, or in whose folders."""
    images: ImagePlace
    """Where the images are."""


def image_lists(place: Path, label: str | None) -> ImageLists | None:
    """The table of each part that lists the images beside it and their labels; None where there is none.

    One lies in ``place``, a folder or a zip, or one in every folder there that is called like a part; or ``place`` is
    such a table. Of images in class folders a table without labels says nothing new.

    Args:
        place: the folder, zip or table.
        label: its column of labels, where it is not a usual one.

    Raises:
        DataError: a folder has two such tables, or a table or the zip cannot be read.
    """
    if place.suffix.lower() == ".zip" and place.is_file():
        zipped = InZip(place)
        with zipped.named():
            root = zipped.tables
            while not (found := _tables_in(root)) and len(inside := list(root.iterdir())) == 1 and inside[0].is_dir():
                root = inside[0]  # the single folder that an archive is often packed in
            return ImageLists(found, root, zipped) if _list_images(found, label) else None
    if place.is_file() and place.suffix.lower() in ENDINGS:
        found = {"train": place}
        return ImageLists(found, place.parent, InFolders()) if _list_images(found, label, of_images=True) else None
    found = _tables_in(place) if place.is_dir() else {}
    return ImageLists(found, place, InFolders()) if _list_images(found, label) else None


def read_listed(
    lists: ImageLists,
    views: Mapping[str, str] | None,
    label: str | None,
    need_labels: bool,
    kind: LabelKind = "classes",
) -> Found:
    """The images that tables list, in their order, and the labels that stand beside them.

    Where one table lists the images of folders that are called like parts (``train/1.png``), these are the parts.

    Args:
        lists: as :func:`image_lists` gives them.
        views: by role, a transform of the image.
        label: the column of labels; a usual one if left out. Others than ``classes`` may lie in several columns.
        need_labels: off, labels may be missing.
        kind: what the labels are read as.

    Raises:
        DataError: an image that is listed twice, is not there or is none; labels that are missing or out of range.
    """
    with lists.images.named():
        root, images = lists.root, lists.images
        used, notes = assign(lists.tables, str(root))
        files = {part: [lists.tables[name]] for part, name in used.items()}
        opened = opener_for(files["train"], [FILE_NAME, label], typed=True)
        sizes = {part: rows_in(opened(path)) for part, (path,) in files.items()}
        labels, classes, targets = labels_in(files, sizes, opened, label, kind if need_labels else None, str(root))
        sources: dict[str, Source] = {}
        listed: dict[str, list[str]] = {}
        unlisted = 0
        for part, (path,) in files.items():
            with reading(path):
                names = [str(name or "") for name in opened(path).read(columns=[FILE_NAME]).column(0).to_pylist()]
            # As Windows writes paths; elsewhere a name may hold a backslash.
            names = [name if images.has(path.parent, name) else name.replace("\\", "/") for name in names]
            _check_listed(path, names, images)
            unlisted += len(images.below(path.parent) - set(names))
            listed[part] = names
            sources[part] = Source(targets[part], {"image": images.encoded(path.parent, names)})
        held: dict[str, Any] = {"files": {part: [str(path.relative_to(root))] for part, (path,) in files.items()}}
        if unlisted:
            held["images that no table lists"] = f"{unlisted:,}, left out"
        folders = _parts_in(listed["train"]) if len(files) == 1 else {}
        cuts, said = _cuts(folders, str(root))
        seen = choose_views(views, {"image": ""}, str(root))
        return Found(classes, sources, seen, cuts, labelled=bool(labels), kind=kind, notes={**held, **notes, **said})


def _tables_in(root: Path) -> dict[str, Path]:
    own = _list_in(root)
    parts = {folder.name: folder for folder in sorted(root.iterdir()) if folder.is_dir() and part_of(folder.name)}
    return {"train": own} if own else {name: path for name, folder in parts.items() if (path := _list_in(folder))}


def _list_images(tables: Mapping[str, Path], label: str | None, *, of_images: bool = False) -> bool:
    """Whether tables have a column of paths, and labels; and, where that is asked, whether the paths are of images."""
    for path in tables.values():
        if not mentions(path, FILE_NAME):
            return False
        opened = opener_for([path], [FILE_NAME], typed=True)
        schema = opened(path).schema_arrow
        if FILE_NAME not in schema.names:
            return False
        if label is None and label_column(schema, None, path, need_labels=False)[0] is None:
            return False
        if of_images and not any(is_image(str(x)) for x in opened(path).read([FILE_NAME]).column(0)[:1].to_pylist()):
            return False
    return bool(tables)


def _list_in(folder: Path) -> Path | None:
    found = [path for name in LIST_NAMES for ending in TABLE_ENDINGS if (path := folder / f"{name}{ending}").is_file()]
    if len(found) > 1:
        raise DataError(
            f"{folder} has {' and '.join(path.name for path in found)}. Keep the one that lists the images."
        )
    return found[0] if found else None


def _check_listed(path: Path, names: Sequence[str], images: ImagePlace) -> None:
    seen: set[str] = set()
    for row, name in enumerate(names):
        where = f"{path}, row {row}"
        pieces = PurePosixPath(name)
        if not name or pieces.is_absolute() or PureWindowsPath(name).drive or ".." in pieces.parts:
            raise DataError(f"{where}: {FILE_NAME} {name!r} is no path of an image below {path.parent}.")
        if name in seen:
            raise DataError(f"{where}: {shown(name)} is listed twice. Keep one row of it.")
        if not is_image(name):
            raise DataError(f"{where}: {shown(name)} is no image ({', '.join(EXTENSIONS)}).")
        if not images.has(path.parent, name):
            raise DataError(f"{where}: there is no file {shown(str(path.parent / name))}. Bring it, or remove the row.")
        seen.add(name)


def _parts_in(names: Sequence[str]) -> dict[str, list[int]]:
    """Rows by the folder at the top of their paths, where all of these are called like parts."""
    folders: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        top = PurePosixPath(name).parts[0]
        folders.setdefault(top if "/" in name else "", []).append(row)
    return folders if all(part_of(name) for name in folders) else {}


def _cuts(folders: Mapping[str, list[int]], where: str) -> tuple[dict[str, Int64[np.ndarray, " rows"]], dict[str, str]]:
    """The rows of each part, and a note if something had to be decided."""
    if len(folders) < 2:
        return {}, {}
    used, notes = assign(folders, where)
    return {part: np.asarray(folders[name], dtype=np.int64) for part, name in used.items()}, notes
