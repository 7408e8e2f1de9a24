"""Where commands print: text as it is, whatever stands in names of the user's."""

from typing import Any

from rich.console import Console
from rich.text import Text

from kantor.core.names import printable


class Terminal(Console):
    """A console to which names are text: no markup, no emoji codes, no escape sequences.

    A method may be called ``m[/x]``, and a folder that somebody else made may hold anything.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def render_str(self, text: str, **settings: Any) -> Text:
        """What every piece of text becomes that is printed, also in tables."""
        return super().render_str(printable(text), **{**settings, "markup": False, "emoji": False})


def terminal() -> Console:
    """Standard output; wide enough for any table where it is no terminal, so that nothing is cut."""
    console = Terminal()
    return console if console.is_terminal else Terminal(width=10_000)
