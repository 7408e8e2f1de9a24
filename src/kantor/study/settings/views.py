"""What each role of a study sees: one view for all teachers, or a view of its own for each."""

from collections.abc import Collection, Mapping

from kantor.core.errors import ConfigError, suggest
from kantor.data.views import ROLES


def views_by_role(given: Mapping[str, str], teachers: Collection[str]) -> dict[str, str]:
    """The views as data takes them: of ``student`` and ``teacher``, or of ``student`` and every teacher by its name.

    Where a teacher is named, ``teacher`` stands for those that are not.

    Args:
        given: by role or teacher, as the user wrote them.
        teachers: the names of all there are.

    Raises:
        ConfigError: a view for a teacher that is not there, a role or teacher without a view, a view that nobody sees,
            or, where teachers are named, one that is called as a role is.
    """
    named = [name for name in given if name not in ROLES]
    for name in named:
        if name not in teachers:
            known = dict.fromkeys([*ROLES, *teachers])
            raise ConfigError(f"views names no known teacher: {name!r}. {suggest(name, known)}")
    for role in ROLES:
        if named and role in teachers:
            raise ConfigError(
                f"A teacher is called {role!r}, and so is a role: views cannot say what it sees. Rename its file, or "
                "give all teachers one view, as teacher=NAME."
            )
    rest = [name for name in teachers if name not in given] if named else ["teacher"]
    if "student" not in given:
        raise ConfigError("views says nothing of the student: add student=NAME.")
    if rest and "teacher" not in given:
        whom = f"teacher {', '.join(rest)}" if named else "the teacher"
        raise ConfigError(f"views says nothing of {whom}: add {rest[0]}=NAME{', or teacher=NAME' if named else ''}.")
    if not rest and "teacher" in given:
        raise ConfigError(f"views names every teacher, so none sees teacher={given['teacher']}: leave it out.")
    if not named:
        return dict(given)
    return {"student": given["student"]} | {name: given[name if name in given else "teacher"] for name in teachers}
