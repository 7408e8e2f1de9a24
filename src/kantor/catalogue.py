"""What the transfer losses say of themselves, read from their sources: a list of them needs no torch, and is there at
once."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_FIELDS = ("name", "paper", "default_weight", "reads", "needs_targets", "needs_ids", "same_classes")
_TELLING = ("    paper", "    reads", "Loss):")
"""What stands in a source that declares a loss's fields or hands them on; the others need not be parsed."""


def losses(registry: str = "LOSSES") -> list[dict[str, Any]]:
    """The class fields of every loss in a registry of ``kantor.losses``, in its order.

    Args:
        registry: ``LOSSES`` or ``PENALTIES``.
    """
    folder = Path(__file__).parent / "losses"
    sources = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}
    told = {stem: text for stem, text in sources.items() if any(said in text for said in _TELLING)}
    trees = {stem: ast.parse(text) for stem, text in {**told, "__init__": sources["__init__"]}.items()}
    classes = {node.name: node for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)}
    listed: Any = next(
        node.value
        for node in trees["__init__"].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == registry
    )
    # In the order of the text, which is that of the registry; its annotation stands outside the value.
    names = sorted((n for n in ast.walk(listed) if isinstance(n, ast.Name)), key=lambda n: (n.lineno, n.col_offset))
    return [_fields(name, classes) for name in dict.fromkeys(n.id for n in names) if name in classes]


def told(names: Iterable[str]) -> list[dict[str, Any]]:
    """What losses say of themselves that are named, of the user's own too, with their ``settings`` in words.

    Raises:
        ConfigError: no loss has that name, or a path names what is no loss.
    """
    from kantor import losses
    from kantor.core import trust
    from kantor.losses.settings import in_words

    found = []
    for name in names:
        trust.wrote(losses.codes_of(name, {}))
        kind = losses.kind_of(name, {})
        fields = {field: getattr(kind, field) for field in _FIELDS if hasattr(kind, field)}
        found.append(fields | {"name": name, "settings": [in_words(kind)]})
    return found


def _fields(name: str, classes: dict[str, ast.ClassDef]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(classes[name].bases):
        if isinstance(base, ast.Name) and base.id in classes:
            found |= _fields(base.id, classes)
    for node in classes[name].body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id in _FIELDS and node.value is not None:  # type: ignore[union-attr]
                found[target.id] = ast.literal_eval(node.value)  # type: ignore[union-attr]
    return found
