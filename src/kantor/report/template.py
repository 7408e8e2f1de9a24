"""Pages from templates: styles, scripts and data go into one file."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def render(
    name: str, *, styles: Sequence[str], scripts: Sequence[str], data: Any, more: str = "", **values: Any
) -> str:
    """A page as text.

    Args:
        name: of the template.
        styles: names of its style sheets.
        scripts: names of its scripts, in order.
        data: what the scripts read.
        more: styles that this page alone has.
        values: what else the template shows; text is escaped.
    """
    template = _environment(TEMPLATES).get_template(name)
    return template.render(
        style=Markup("\n".join([*map(_read, styles), more])),
        script=Markup("\n".join(map(_read, scripts))),
        # Inside a script element "<" could end it.
        data=Markup(json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")),
        **values,
    )


@functools.cache  # it keeps the templates that it compiled
def _environment(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
