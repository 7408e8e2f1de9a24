"""Where the images lie that a table lists: in its folder, or in a zip."""

import contextlib
import posixpath
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from kantor.core.errors import KantorError
from kantor.data.folders import Entries, Files, opened_zip
from kantor.data.layout import is_hidden, is_image
from kantor.data.parquet import reading
from kantor.data.source import Encoded
from kantor.data.tables import ENDINGS

LIST_NAMES = ("metadata", "labels")
"""Of tables that list images, before their endings."""
TABLE_ENDINGS = (*ENDINGS, ".parquet")
"""Of tables that list images."""


class ImagePlace(Protocol):
    """Where images lie beside their tables; names are paths below a table's folder."""

    def named(self) -> contextlib.AbstractContextManager[None]:
        """Inside it, messages name what the user knows."""
        ...

    def has(self, folder: Path, name: str) -> bool:
        """Whether there is such a file."""
        ...

    def below(self, folder: Path) -> set[str]:
        """All images below a folder."""
        ...

    def encoded(self, folder: Path, names: list[str]) -> Encoded:
        """Images by their names."""
        ...


class InFolders:
    """Images that lie in the folder of their table, or below it."""

    def named(self) -> contextlib.AbstractContextManager[None]:
        """The files are named as they are."""
        return contextlib.nullcontext()

    def has(self, folder: Path, name: str) -> bool:
        """Whether there is such a file."""
        return (folder / name).is_file()

    def below(self, folder: Path) -> set[str]:
        """All images below a folder."""
        return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if is_image(file.name)}

    def encoded(self, folder: Path, names: list[str]) -> Encoded:
        """Images by their names."""
        return Files(folder, names)


class InZip:
    """Images in a zip, read in place, and its tables, which are unpacked into a folder that lasts as long as this.

    Raises:
        DataError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.archive = path, opened_zip(path)
        unpacked = tempfile.mkdtemp(prefix="kantor-")
        weakref.finalize(self, shutil.rmtree, unpacked, ignore_errors=True)
        self.tables = Path(unpacked) / path.name
        """The zip's folders, as far as tables lie in them."""
        self.tables.mkdir()
        for name in self.archive.namelist():
            pieces = PurePosixPath(name)
            of_images = pieces.stem in LIST_NAMES and pieces.suffix.lower() in TABLE_ENDINGS
            if of_images and not is_hidden(pieces.parts) and not pieces.is_absolute() and ".." not in pieces.parts:
                with reading(path):
                    content = self.archive.read(name)
                target = self.tables / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """What lies in the zip is named, and not where its tables were unpacked."""
        try:
            yield
        except KantorError as error:
            raise type(error)(str(error).replace(str(self.tables), str(self.path))) from error

    def has(self, folder: Path, name: str) -> bool:
        """Whether there is such an entry."""
        return self._entry(folder, name) in self.archive.NameToInfo

    def below(self, folder: Path) -> set[str]:
        """All images below a folder."""
        top = self._top(folder)
        inside = [name.removeprefix(top) for name in self.archive.namelist() if name.startswith(top) and is_image(name)]
        return {name for name in inside if not is_hidden(PurePosixPath(name).parts)}

    def encoded(self, folder: Path, names: list[str]) -> Encoded:
        """Images by their names."""
        return Entries(self.archive, self.path, [self._entry(folder, name) for name in names])

    def _entry(self, folder: Path, name: str) -> str:
        return self._top(folder) + posixpath.normpath(name)

    def _top(self, folder: Path) -> str:
        """What the names of a folder's entries begin with."""
        return "".join(f"{piece}/" for piece in folder.relative_to(self.tables).parts)
