"""What texts become tokens by for each teacher of a faculty."""

from collections.abc import Sequence
from contextlib import suppress

from kantor.core.errors import KantorError
from kantor.data.tokenizer import Tokenizer
from kantor.faculty.roster import Entry
from kantor.models.own_tokenizer import needed_tokenizer


def faculty_tokenizers(entries: Sequence[Entry], beside: Sequence[str]) -> dict[str, Tokenizer]:
    """By teacher its tokenizer, and the student's; a teacher without one is left out, and refused in its turn.

    Args:
        entries: the teachers.
        beside: models that see what the student sees; all of one tokenizer.

    Raises:
        ConfigError: one of these, or every teacher, brings no tokenizer.
    """
    found: dict[str, Tokenizer] = {}
    for entry in entries:
        with suppress(KantorError):
            found[entry.name] = needed_tokenizer(entry.spec)
    for spec in beside:
        found["student"] = needed_tokenizer(spec)
    if not found:
        needed_tokenizer(entries[0].spec)
    return found
