"""``--teacher best:RANKING.json``: teachers as a ranking chose them."""

import dataclasses
from pathlib import Path

from kantor.core.errors import ConfigError
from kantor.faculty.ranking import Ranking
from kantor.faculty.roster import teacher_names
from kantor.study.settings.study import Study


def chosen_teachers(config: Study) -> Study:
    """The settings with the teachers that a ranking put first in the place of ``best:FILE`` or ``best@top=N:FILE``.

    Class names that were given for the ranking come with them, and so do its label cost where the study names none and
    labels are classes, and the views of teachers that saw something of their own, where the study says nothing of what
    they see.
    The ranking is read now: a run goes on with the teachers that it began with, whatever becomes of the file.

    Raises:
        ConfigError: the setting is not of that form, or the ranking holds fewer teachers.
        DataError: the file is no ranking.
    """
    head, _, path = (config.teacher or "").partition(":")
    name, *options = head.split("@")
    if name != "best":
        return config
    top = options[0].removeprefix("top=") if options else "1"
    if not path or len(options) > 1 or not top.isdecimal():
        raise ConfigError(f"{config.teacher!r}: write best:RANKING.json, or best@top=3:RANKING.json.")
    ranking = Ranking.read(Path(path))
    best = ranking.best(int(top))
    specs = [teacher.model for teacher in best]
    names = ["teacher"] if len(best) == 1 else teacher_names(specs)
    classes = {name: teacher.classes for name, teacher in zip(names, best, strict=True) if teacher.classes is not None}
    task = config.learned()
    by_classes = task is None or task.labels == "classes"
    given, seen = config.view_map() or {}, {name: t.view for name, t in zip(names, best, strict=True) if t.view}
    return dataclasses.replace(
        config,
        teacher=",".join(specs),
        teacher_classes=config.teacher_classes or classes or None,
        label_cost=config.label_cost or (ranking.label_cost if by_classes else None),
        views=seen | given if seen and "teacher" not in given else config.views,
    )
