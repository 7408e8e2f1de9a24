"""Names of the user's in Markdown: text as it is, whatever stands in them."""

import re

from kantor.core.names import printable


def text(name: str) -> str:
    """A name within a line or a cell of a table: no markup, no HTML, on one line."""
    entities = _line(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|])", r"\\\1", entities)


def code(name: str) -> str:
    """A name as code within a line."""
    name, ticks = _line(name), _fence(name, 1)
    return f"{ticks} {name} {ticks}" if len(ticks) > 1 else f"{ticks}{name}{ticks}"


def block(content: str, language: str = "") -> str:
    """Lines as a block of code."""
    ticks = _fence(content, 3)
    return f"{ticks}{language}\n{printable(content)}\n{ticks}"


def _line(name: str) -> str:
    return " ".join(printable(name).split())


def _fence(content: str, shortest: int) -> str:
    """Backticks that the content cannot close."""
    return "`" * max([shortest, *(len(found) + 1 for found in re.findall("`+", content))])
