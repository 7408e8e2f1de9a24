"""Images in a column of parquet files: a small part's bytes in memory, a large one's read by row group."""

import threading
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from kantor.data.listing import UNKNOWN
from kantor.data.parquet import opened, reading
from kantor.data.source import Identities

KEPT_BYTES = 2**30
"""Bytes of images that are read whole into memory; of more, row groups that were read last are kept up to this."""
_HELD = 4
"""Row groups of which at least so many are kept, however large they are."""


class Rows:
    """Images in a column of bytes. The bytes are read when rows are taken, or later; nothing else is."""

    def __init__(self, files: list[Path], column: str, count: int):
        self.files, self.column, self.count = files, column, count

    def __len__(self) -> int:
        return self.count

    @property
    def place(self) -> Path:
        """The folder of the files."""
        return self.files[0].parent

    def read(self, row: int) -> bytes:
        """One image's bytes. Take many rows at once instead: this reads a whole row group."""
        return self.take(np.asarray([row])).read(0)

    def describe(self, row: int) -> str:
        """The files and the row."""
        return f"{self.place}, row {row}"

    def identities(self) -> Identities:
        """Rows by their numbers, and when their files were written."""
        return self._in_groups(np.arange(self.count)).identities()

    def take(self, rows: Int64[np.ndarray, " n"]) -> "TakenRows | InGroups":
        """The images at ``rows`` (ascending): in memory, or where they are too large for it, read when they are."""
        lazy = self._in_groups(rows)
        if lazy.total > KEPT_BYTES:
            return lazy
        return TakenRows(lazy.every(), [lazy.describe(row) for row in range(len(rows))], self.place)

    def _in_groups(self, rows: Int64[np.ndarray, " n"]) -> "InGroups":
        return InGroups(self.files, self.column, rows)


class InGroups:
    """Rows that are read a row group at a time, of which the last ones are kept in memory.

    Args:
        files: of the part, in order.
        column: of bytes, or of structs with bytes.
        rows: which of all the files' rows, ascending.
    """

    def __init__(self, files: list[Path], column: str, rows: Int64[np.ndarray, " n"]):
        import pyarrow as pa

        self.files, self._column, self._rows = files, column, rows
        groups: list[tuple[int, int]] = []
        starts, firsts, sizes = [0], [0], []
        for number, path in enumerate(files):
            file = opened(path)
            with reading(path):
                # Of a struct the path is not needed.
                self._struct = bool(pa.types.is_struct(file.schema_arrow.field(column).type))
                self._name = f"{column}.bytes" if self._struct else column
                for group in range(file.num_row_groups):
                    about = file.metadata.row_group(group)
                    chunks = [about.column(k) for k in range(about.num_columns)]
                    sizes.append(sum(x.total_uncompressed_size for x in chunks if x.path_in_schema == self._name))
                    groups.append((number, group))
                    starts.append(starts[-1] + about.num_rows)
            firsts.append(starts[-1])
        self._groups, self._starts, self._firsts = groups, np.asarray(starts), np.asarray(firsts)
        self._sizes = np.asarray(sizes, dtype=np.int64)
        # Of two that begin at one row the first is empty.
        self._of = np.searchsorted(self._starts, rows, side="right") - 1
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._reading = [threading.Lock() for _ in groups]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def place(self) -> Path:
        """The folder of the files."""
        return self.files[0].parent

    @property
    def total(self) -> int:
        """Bytes of the column, in the row groups that are needed."""
        return int(self._sizes[np.unique(self._of)].sum())

    def read(self, row: int) -> bytes:
        """One image's bytes."""
        group = int(self._of[row])
        content = self._column_of(group)[int(self._rows[row] - self._starts[group])].as_py()
        if content is None:
            raise ValueError("the row holds no bytes")
        return content

    def every(self) -> list[bytes | None]:
        """All images' bytes, read one row group after the other."""
        import pyarrow as pa

        content: list[bytes | None] = []
        for group in np.unique(self._of).tolist():
            inside = self._rows[self._of == group] - self._starts[group]
            content += self._read_group(group).take(pa.array(inside)).to_pylist()
        return content

    def describe(self, row: int) -> str:
        """The file and the row in it."""
        number = self._groups[int(self._of[row])][0]
        return f"{self.files[number]}, row {self._rows[row] - self._firsts[number]}"

    def identities(self) -> Identities:
        """Rows by their numbers, and when their files were written."""
        stamps = np.asarray([path.stat().st_mtime_ns for path in self.files], dtype=np.int64)
        numbers = np.asarray([number for number, _ in self._groups], dtype=np.int64)[self._of]
        names = [
            f"{self.files[k].name}:{row}" for k, row in zip(numbers, self._rows - self._firsts[numbers], strict=True)
        ]
        return Identities(names, np.full(len(names), UNKNOWN), stamps[numbers])

    def take(self, rows: Int64[np.ndarray, " n"]) -> "InGroups":
        """Those at ``rows``."""
        return InGroups(self.files, self._column, self._rows[rows])

    def _column_of(self, group: int) -> Any:
        with self._lock:
            if group in self._kept:
                self._kept.move_to_end(group)
                return self._kept[group]
        with self._reading[group]:
            with self._lock:
                if group in self._kept:
                    return self._kept[group]
            column = self._read_group(group)
            with self._lock:
                self._kept[group] = column
                while len(self._kept) > _HELD and sum(self._sizes[k] for k in self._kept) > KEPT_BYTES:
                    self._kept.popitem(last=False)
        return column

    def _read_group(self, group: int) -> Any:
        number, inside = self._groups[group]
        path = self.files[number]
        with reading(path):
            column: Any = opened(path).read_row_group(inside, columns=[self._name]).column(0)
            return column.flatten()[column.type.get_field_index("bytes")] if self._struct else column


class TakenRows:
    """Compressed images in memory."""

    def __init__(self, content: list[bytes | None], names: list[str], place: Path = Path()):
        self.content, self.names, self.place = content, names, place

    def __len__(self) -> int:
        return len(self.content)

    def read(self, row: int) -> bytes:
        """One image's bytes."""
        content = self.content[row]
        if content is None:
            raise ValueError("the row holds no bytes")
        return content

    def describe(self, row: int) -> str:
        """The file and the row in it."""
        return self.names[row]

    def take(self, rows: Int64[np.ndarray, " n"]) -> "TakenRows":
        """Those at ``rows``."""
        places = rows.tolist()
        return TakenRows([self.content[k] for k in places], [self.names[k] for k in places], self.place)

    def identities(self) -> Identities:
        """Their rows, sizes and checksums."""
        sizes = [UNKNOWN if content is None else len(content) for content in self.content]
        sums = [zlib.crc32(content or b"") for content in self.content]
        return Identities(self.names, np.asarray(sizes, dtype=np.int64), np.asarray(sums, dtype=np.int64))
