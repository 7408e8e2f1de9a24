"""A run's finished student, found."""

from pathlib import Path

from kantor.core.errors import ConfigError
from kantor.core.seal import student_of


def trained_student(folder: Path) -> Path:
    """The weights in ``RUN/METHOD/seed-K``.

    Raises:
        ConfigError: there is no finished student; names those that there are.
        DataError: they are not what they were when it was finished.
    """
    path = student_of(folder)
    if not path.exists():
        near = sorted(str(p.parent) for p in folder.parent.parent.glob("*/seed-*/student.safetensors"))[:6]
        hint = f" There are: {', '.join(near)}." if near else ""
        raise ConfigError(f"{folder} holds no trained student; give RUN/METHOD/seed-K.{hint}")
    return path
