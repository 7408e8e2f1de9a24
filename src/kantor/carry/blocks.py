"""Which of a teacher's blocks a shallower student keeps."""

from collections.abc import Iterable

from torch import nn

from kantor.core.errors import ConfigError


def counterparts(student: nn.Module, teacher: nn.Module, names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """For each parameter of the student the teacher's that it comes from; and the same for blocks of other numbers.

    Where a sequence of blocks is shorter in the student, blocks are taken at even distances, the first and the last
    among them. The first alone is kept where there is one: it is the one that changes widths and resolutions.

    Args:
        student: the shallower network.
        teacher: the deeper one.
        names: of the student's parameters and buffers.

    Raises:
        ConfigError: one has no counterpart.
    """
    held = dict(teacher.named_parameters(remove_duplicate=False)) | dict(teacher.named_buffers())
    blocks = _blocks(student, teacher)
    found: dict[str, str] = {}
    for name in names:
        source = renamed(name, blocks)
        if source not in held:
            raise ConfigError(
                f"The student's {name} has no counterpart in the teacher ({source}). Weights are carried between "
                "networks of one make; start this student from scratch."
            )
        found[name] = source
    return found, blocks


def _blocks(student: nn.Module, teacher: nn.Module) -> dict[str, str]:
    """Blocks of the student by path, with the teacher's."""
    theirs, found = dict(teacher.named_modules()), {}
    for path, module in student.named_modules():
        other = theirs.get(renamed(path, found))
        if not isinstance(module, nn.Sequential | nn.ModuleList) or not isinstance(other, type(module)):
            continue
        few, many = len(module), len(other)
        if few == many:
            continue
        if few > many:
            raise ConfigError(
                f"{path} has {few} blocks in the student, and {many} in the teacher. A student can be wider than its "
                "teacher, and not deeper; start it from scratch."
            )
        for place in range(few):
            source = 0 if few == 1 else round(place * (many - 1) / (few - 1))
            found[f"{path}.{place}"] = f"{renamed(path, found)}.{source}"
    return found


def renamed(name: str, blocks: dict[str, str]) -> str:
    """A name in the student as it is in the teacher, where blocks come from others."""
    longest = max((path for path in blocks if name == path or name.startswith(f"{path}.")), key=len, default="")
    return blocks[longest] + name[len(longest) :] if longest else name
