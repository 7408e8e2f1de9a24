"""Tables in files: tsv, csv, jsonl, parquet, and the Arrow files of Hugging Face's ``save_to_disk``."""

import csv
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kantor.core.errors import DataError
from kantor.core.optional import optional
from kantor.data.labels import OBVIOUS
from kantor.data.layout import is_image
from kantor.data.parquet import find_parquet, reading, refuse_twice
from kantor.data.parquet import opened as parquet_file
from kantor.data.roles import like_a_part

if TYPE_CHECKING:
    import pyarrow as pa

OBVIOUS_TEXT = ("sentence", "text", "content", "review")
"""Names a column of texts is looked for under."""
_DELIMITERS = {".tsv": "\t", ".csv": ","}
_LINES = (".jsonl", ".ndjson")
ENDINGS = (*_DELIMITERS, *_LINES, ".arrow")
"""Of files that hold a table, beside parquet."""
_LOOKED_AT = 100
"""Rows by which a first line is told from the names of columns."""
_SHARD = re.compile(r"^(?P<part>.+?)-\d{5}-of-\d{5}$")
_BLOCK = 64 << 20
"""Bytes of a file that are taken apart at once; a line must be shorter."""


class Table(Protocol):
    """A file of rows and columns, which is read when its columns are asked for."""

    @property
    def schema_arrow(self) -> "pa.Schema":
        """Names of the columns, and types where the file says them."""
        ...

    def read(self, columns: list[str]) -> Any:
        """Some columns, as an Arrow table."""
        ...


Opener = Callable[[Path], Table]


def find_tables(place: Path) -> dict[str, list[Path]]:
    """The files of each part, in order; ``{}`` where no table lies there.

    A file alone is the training part. In a folder, or its folder ``data``, files are parts by their names
    (``train.tsv``, ``dev.csv``); a folder that ``datasets`` saved says its own. A table beside images that is not
    called like a part is none.

    Raises:
        DataError: shards are missing, or files of several kinds or without a training part among them.
    """
    if place.is_file():
        return {"train": [place]} if place.suffix.lower() in (*ENDINGS, ".parquet") else {}
    if saved := _saved(place):
        return saved
    if found := find_parquet(place):
        return found
    for folder in (place, place / "data"):
        files = sorted(path for path in folder.glob("*") if path.suffix.lower() in ENDINGS and path.is_file())
        if len(files) == 1 and (like_a_part(files[0].stem) or not holds_images(place)):
            return {"train": files}
        parts: dict[str, list[Path]] = defaultdict(list)
        for path in files:
            shard = _SHARD.match(path.stem)
            name = shard["part"] if shard else path.stem
            if like_a_part(name):
                parts[name if shard else path.name if _twice(files, path) else name].append(path)
        if files and not parts and not holds_images(place):
            names = ", ".join(path.name for path in files[:6])
            raise DataError(f"{place} has {names}, and none is called train. Name the files train, validation, test.")
        if parts:
            return dict(parts)
    return {}


def train_files(files: Mapping[str, list[Path]]) -> list[Path]:
    """The files of the training part; none where there is none."""
    return next((paths for name, paths in files.items() if like_a_part(Path(name).stem) == "train"), [])


def place_of(part: str, files: Sequence[Path]) -> str:
    """Where a part's rows lie, for messages."""
    return str(files[0]) if len(files) == 1 else f"{files[0].parent}, {part} part"


def opener_for(files: Sequence[Path], wanted: Sequence[str | None], *, typed: bool = False) -> Opener:
    """What opens the files of a data set: all of them are read as its first training file is.

    Args:
        files: of the training part.
        wanted: names of columns that the user gave, by which a line of names is known.
        typed: columns of tsv and csv that hold numbers are numbers, and the files are kept; off, all are text.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: the first file is empty, or cannot be read.
    """
    suffix = files[0].suffix.lower()
    if suffix == ".parquet":
        return parquet_file
    with optional("Tables of text need pyarrow", "text"):
        import pyarrow  # noqa: F401
    if suffix in _DELIMITERS:
        rows = _first_rows(files[0])
        names = _names_in(rows, {name for name in wanted if name})
        made = lambda path: Delimited(path, names, headed=names is None, typed=typed)  # noqa: E731
        return cache(made) if typed else made
    return JsonLines if suffix in _LINES else ArrowFile


class Delimited:
    """A tsv (fields as they stand, whatever quotes they hold) or csv (fields in quotes may hold anything).

    Args:
        path: the file.
        names: of its columns, where its first line is none of names.
        headed: the first line holds the names.
        typed: columns of numbers are numbers.

    Raises:
        DataError: it cannot be read; or, of typed columns, two have one name.
    """

    def __init__(self, path: Path, names: list[str] | None, *, headed: bool, typed: bool = False):
        self.path, self.headed = path, headed
        first = _first_rows(path)
        self.names = first[0] if names is None else names
        self.shown = ", ".join(f"{value!r:.40}" for value in first[0][:6])
        if typed:
            refuse_twice(self.names, path)
        self.typed = self._parsed(self.names, {}) if typed else None

    @property
    def schema_arrow(self) -> "pa.Schema":
        """The names, and types: text, or what the columns hold."""
        import pyarrow as pa

        return self.typed.schema if self.typed else pa.schema([(name, pa.large_string()) for name in self.names])

    def read(self, columns: list[str]) -> Any:
        """Some columns, by the types of the schema."""
        import pyarrow as pa

        return (
            self.typed.select(columns)
            if self.typed
            else self._parsed(columns, dict.fromkeys(columns, pa.large_string()))
        )

    def _parsed(self, columns: list[str], types: "dict[str, pa.DataType]") -> Any:
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        quoted = self.path.suffix.lower() == ".csv"
        named = None if self.headed else self.names
        parse = arrow_csv.ParseOptions(
            delimiter=_DELIMITERS[self.path.suffix.lower()],
            quote_char='"' if quoted else False,
            newlines_in_values=quoted,
            ignore_empty_lines=False,
        )
        convert = arrow_csv.ConvertOptions(
            include_columns=columns,
            column_types=types,
            strings_can_be_null=False,
        )
        try:
            read = arrow_csv.ReadOptions(column_names=named, block_size=_BLOCK)
            return arrow_csv.read_csv(self.path, read_options=read, parse_options=parse, convert_options=convert)
        except pa.ArrowInvalid as error:
            quotes = 'A field that holds a comma or a quote stands in "double quotes", with each quote in it twice.'
            raise DataError(
                f"{self.path}: {error}. Give every row as many fields, in UTF-8.{f' {quotes}' * quoted}"
            ) from None


class JsonLines:
    """One JSON object a line; what is text in one line is text in all."""

    def __init__(self, path: Path):
        self.path = path
        with path.open(encoding="utf-8") as file:
            lines = [line for line in itertools.islice(file, _LOOKED_AT) if line.strip()]
        try:
            held = [json.loads(line) for line in lines]
        except ValueError as error:
            raise DataError(f"{path} is no file of JSON lines: {error}. Write one object a line.") from None
        if not held or not all(isinstance(row, dict) for row in held):
            raise DataError(f"{path} holds no JSON objects, one a line.")
        self.known: dict[str, Any] = {}
        for row in held:
            for key, value in row.items():
                if value is not None:
                    self.known.setdefault(key, value)

    @property
    def schema_arrow(self) -> "pa.Schema":
        """The keys of the first lines."""
        import pyarrow as pa

        return pa.schema([(str(name), self._type(name)) for name in self.known])

    def read(self, columns: list[str]) -> Any:
        """Columns by the types of the first lines."""
        import pyarrow as pa
        import pyarrow.json as arrow_json

        schema = pa.schema([(name, self._type(name)) for name in columns])
        parse = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        try:
            read = arrow_json.ReadOptions(block_size=_BLOCK)
            return arrow_json.read_json(self.path, read_options=read, parse_options=parse)
        except pa.ArrowInvalid as error:
            raise DataError(f"{self.path}: {error}. Write every line alike, text in quotes.") from None

    def _type(self, name: str) -> "pa.DataType":
        import pyarrow as pa

        value = self.known.get(name)
        return pa.large_string() if isinstance(value, str) else pa.scalar(value).type


class ArrowFile:
    """An Arrow stream as ``datasets`` saves it, mapped from disk: what is not read takes no memory."""

    def __init__(self, path: Path):
        import pyarrow as pa

        self.path = path
        with reading(path):
            self.table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()

    @property
    def schema_arrow(self) -> "pa.Schema":
        """As the file says it."""
        return self.table.schema

    def read(self, columns: list[str]) -> Any:
        """Some columns."""
        return self.table.select(columns)


def mentions(path: Path, column: str) -> bool:
    """Whether a table can have a column of that name: it has, or its first line holds the name, however separated."""
    if path.suffix.lower() not in _DELIMITERS:
        return column in opener_for([path], [])(path).schema_arrow.names
    rows = _rows(path, _DELIMITERS[path.suffix.lower()], csv.QUOTE_NONE)
    return bool(rows) and any(column in field for field in rows[0])


def rows_in(table: Any) -> int:
    """How many rows a table has."""
    metadata = getattr(table, "metadata", None)  # of parquet: nothing is read
    return len(table.read(columns=table.schema_arrow.names[:1])) if metadata is None else metadata.num_rows


def _saved(place: Path) -> dict[str, list[Path]]:
    """The files of a folder that ``datasets`` saved."""
    if (place / "dataset_dict.json").is_file():
        splits = _json(place / "dataset_dict.json").get("splits", [])
        return {str(split): _shards(place / str(split)) for split in splits}
    return {"train": _shards(place)} if (place / "state.json").is_file() else {}


def _shards(folder: Path) -> list[Path]:
    names = [entry["filename"] for entry in _json(folder / "state.json").get("_data_files", [])]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not names:
        raise DataError(
            f"{folder} lacks {', '.join(missing) or 'its files'}, which its state.json names. Save it again."
        )
    return [folder / name for name in names]


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Save the data set again.") from None


def holds_images(folder: Path) -> bool:
    """Whether images lie in a folder, of which a table there may tell something."""
    return any(is_image(path.name) for path in folder.rglob("*"))


def _twice(files: Sequence[Path], path: Path) -> bool:
    return sum(other.stem == path.stem for other in files) > 1


def _first_rows(path: Path) -> list[list[str]]:
    delimiter = _DELIMITERS[path.suffix.lower()]
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    rows = _rows(path, delimiter, quoting)
    if not rows or not rows[0]:
        raise DataError(f"{path} is empty. Fill it, or remove it.")
    _refuse_another_form(path, rows, delimiter)
    return rows


def _rows(path: Path, delimiter: str, quoting: Any) -> list[list[str]]:
    csv.field_size_limit(_BLOCK)  # Python's own limit is shorter than some texts
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(itertools.islice(csv.reader(file, delimiter=delimiter, quoting=quoting), _LOOKED_AT))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}. Save it as UTF-8 text.") from None


def _refuse_another_form(path: Path, rows: Sequence[Sequence[str]], delimiter: str) -> None:
    """Name what separates the fields, or stands around them, where it is not what the file's ending says.

    Raises:
        DataError: so it is.
    """
    spoken = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars (|)"}
    remedy = "Save it with commas and double quotes as .csv (decimal points in numbers), or with tabs as .tsv."
    if len(rows[0]) == 1:
        for other, called in spoken.items():
            widths = {len(row) for row in _rows(path, other, csv.QUOTE_MINIMAL) if row}
            if other != delimiter and len(widths) == 1 and widths.pop() > 1:
                raise DataError(
                    f"{path} has one column, {rows[0][0]!r:.60}: its fields seem to be separated by {called}, and "
                    f"those of a {path.suffix} by {spoken[delimiter]}. {remedy}"
                )
    if all(len(name) > 1 and name[0] == name[-1] == "'" for name in rows[0]):
        raise DataError(f"{path}: its fields stand in single quotes ({rows[0][0]}). {remedy}")


def _names_in(rows: Sequence[Sequence[str]], wanted: set[str]) -> list[str] | None:
    """Names of the columns where the first line holds none: their numbers from 1. None where it does.

    It does where a name that is asked for, or a usual one, is in it; or where it has words above numbers.
    """
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    usual = {*OBVIOUS, *OBVIOUS_TEXT}
    if wanted & {*first} or usual & {name.lower() for name in first}:
        return None
    for place, name in enumerate(first):
        if rest and not _is_real(name) and all(_is_real(row[place]) for row in rest):
            return None
    return [str(number) for number in range(1, len(first) + 1)]


def _is_real(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_number(text: str) -> bool:
    """Whether a field holds a whole number."""
    return re.fullmatch(r"\s*-?\d+\s*", text) is not None
