"""Names in an objective's state dict, and those that older ones and compiled students have."""

import re
from collections.abc import Sequence
from typing import Any

from kantor.capture.compiled import plain

_OLD = re.compile(r"_owned\.(\d+)\.")


def plain_keys(state: dict[str, Any], prefix: str) -> None:
    """Rename, in place, what ``torch.compile`` renamed: ``student._orig_mod.weight`` is ``student.weight``."""
    for key in [key for key in state if key.startswith(prefix)]:
        state[prefix + plain(key.removeprefix(prefix))] = state.pop(key)


def known_keys(state: dict[str, Any], prefix: str, own: Sequence[str], losses: Sequence[str]) -> None:
    """Rename, in place, to the names that this objective's modules have.

    Args:
        state: to be loaded.
        prefix: before every key of the objective.
        own: the objective's keys as its modules have them.
        losses: the terms' keys, in order; once a term's was its number, as ``_owned.0``.
    """
    compiled = {plain(key): key for key in own}
    for key in [key for key in state if key.startswith(prefix)]:
        name = plain(key.removeprefix(prefix))
        old = _OLD.match(name)
        if old and int(old.group(1)) < len(losses):
            name = f"losses.{losses[int(old.group(1))]}.{name[old.end() :]}"
        state[prefix + compiled.get(name, name)] = state.pop(key)
