"""What a run began with, in ``began.json``, and whether it is still so when the run goes on.

A run that goes on with other settings, data, teachers or starts would leave a table of two runs under one name. Each is
kept when it is first known, and compared before a step is taken.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kantor.core.collectives import rank
from kantor.core.cores import cores
from kantor.core.digests import file_digest, tensors_digest
from kantor.core.errors import ConfigError
from kantor.core.files import write_json, write_text
from kantor.core.module_files import module_files
from kantor.core.reading import read_json, read_yaml
from kantor.data import DataSet
from kantor.faculty.label_cost import CostSource
from kantor.faculty.roster import spec_of
from kantor.models import Model, has_weights
from kantor.results.files import BEGAN, read_result
from kantor.results.format import FORMAT, read_began
from kantor.study.resume.folder import environment
from kantor.study.settings.starting_weights import Start
from kantor.study.settings.study import WITHOUT_EFFECT, Study

_ANOTHER = "put it back, or begin another run by --out"


def begin(run: Path, config: Study) -> None:
    """Keep the settings that a run begins with."""
    write_json(run / BEGAN, {"format": FORMAT, "settings": dataclasses.asdict(config)})


def renew(run: Path, config: Study) -> None:
    """Write the settings of a run that began in an earlier format, or when none were kept, as today's has them."""
    if (known := read_began(run)).get("format", 0) < FORMAT:
        write_text(run / "config.yaml", config.to_yaml())
        write_json(run / BEGAN, {**known, "format": FORMAT, "settings": dataclasses.asdict(config)})


def settings_of(run: Path) -> Study:
    """The settings in a run's ``config.yaml``, which are those that it began with.

    Raises:
        ConfigError: the file is missing, cut short, edited, or no YAML; says what differs.
    """
    path = run / "config.yaml"
    held = read_began(run).get("settings")
    if held is None or not path.exists():  # begun by a version that kept nothing; or no run, which is said below
        return Study.of_run(run)
    content = read_yaml(path, dict[str, Any], _restore(run))
    missing = [name for name in held if name not in content]
    if missing:
        raise ConfigError(f"{path} is cut short: it lacks {_listed(missing)}. {_restore(run)}")
    differing = [
        f"{name} is {content[name]!r} and was {value!r}"
        for name, value in held.items()
        if name not in WITHOUT_EFFECT and content[name] != value
    ]
    if differing:
        raise ConfigError(
            f"{path} was edited since the run began: {_listed(differing)}. To go on, {_ANOTHER}: "
            "half a run of each would be compared as one."
        )
    return Study.of_run(run)


def agree_on_students(run: Path, config: Study) -> None:
    """Refuse to go on beside students that were trained with other settings, whatever the settings' files say now, or
    that stand in the place of another method's or seed's.

    Raises:
        ConfigError: names such a student.
    """
    digest = config.digest()
    for path in sorted(run.glob("**/seed-*/result.json")):
        result = read_result(path.parent) or {}
        place = path.parent.relative_to(run).as_posix()
        student = result.get("student", place)  # early versions kept neither
        if student != place:
            raise ConfigError(
                f"{path.parent} holds the student that was trained as {student}, which would be counted as another. "
                f"Bring {place} back from a copy; or delete {path.parent}, and `kantor resume` trains it anew."
            )
        if result.get("settings", digest) != digest:
            raise ConfigError(
                f"{path.parent} was trained with other settings than {run / 'config.yaml'} and {BEGAN} hold now. What "
                f"was edited there: {_ANOTHER}; half a run of each would be compared as one."
            )


def agree_on_data(run: Path, data: DataSet) -> None:
    """Refuse to go on with other data than the run began with.

    Raises:
        ConfigError: names the part that differs.
    """
    parts = {part.name: part.fingerprint for part in map(data.part, data.facts()["parts"])}
    classes = json.dumps(data.classes)
    _agree(run, "data", {**parts, "classes": classes}, f"the data {data.name}")


def agree_on_networks(run: Path, config: Study, teachers: Mapping[str, Model], student: Model) -> None:
    """Refuse to go on with other teachers or another student.

    Args:
        run: the run's folder.
        config: its settings.
        teachers: by name, with their weights.
        student: untrained; its weights count where they are pretrained.

    Raises:
        ConfigError: names what differs.
    """
    found = {name: tensors_digest(teacher.network.state_dict()) for name, teacher in teachers.items()}
    _agree(run, "teachers", found, "the teacher's weights")
    pretrained = has_weights(spec_of(config.student))
    _agree(run, "student", {config.student: tensors_digest(student.network.state_dict(), pretrained)}, "the student")
    made = {name: teacher.made_by() for name, teacher in teachers.items()}
    made[config.student] = student.made_by(normalised=False)  # its numbers are fitted, here or there, in other digits
    _agree(run, "made", made, "what the network is made by (its config.json, or preprocessing)")


def agree_on_files(run: Path, config: Study, starts: Mapping[str, Start | None]) -> None:
    """Refuse to go on with other files that a student starts from or is told by.

    Args:
        run: the run's folder.
        config: its settings.
        starts: by method, what its students start from.

    Raises:
        ConfigError: names what differs.
    """
    specs = [start.of(seed) for start in starts.values() if start for seed in config.seed_list()]
    if config.label_cost is not None:
        specs.append(CostSource.parse(config.label_cost).argument)
    files = [Path(text) for spec in dict.fromkeys(specs) for text in (spec, spec.partition(":")[2])]
    _agree(run, "files", {str(file): file_digest(file) for file in files if file.is_file()}, "the file")


def agree_on_code(run: Path, config: Study) -> None:
    """Refuse to go on with other code of the user's own: the files of the modules that the settings name, and of those
    that they import.

    Raises:
        ConfigError: names the module.
    """
    files = {name: file for module in _modules(config) for name, file in module_files(module).items()}
    same = f"{_ANOTHER}; where it computes what it did, take its entry out of {run / BEGAN}"
    found = {module: file_digest(file) for module, file in files.items()}
    # What is imported anew stands in a file that was edited, or an early version kept the named modules alone.
    known = read_began(run).get("code", found)
    _agree(run, "code", {module: found.get(module, "") for module in known}, "the module", same)


def _modules(config: Study) -> list[str]:
    return sorted({code.partition(":")[0] for code in config.codes()})


def another_machine(run: Path) -> str:
    """A sentence on how this machine differs from the one that the run began on; empty where it does not. Kept, too."""
    then, now = read_json(run / "environment.json"), environment()
    before = {**then, **then.get("packages", {})}
    today = {**now, **now["packages"]}
    names = ("machine", "processor", "cores", "processes", "gpus", "torch", "numpy", "scipy")
    other = [
        f"{name} {before[name]} then, {today[name]} now"
        for name in names
        if name in before and before[name] != today[name]
    ]
    if not other:
        return ""
    if rank() == 0:
        write_json(run / "environment.json", {**then, "resumed": [*then.get("resumed", []), now]})
    threads = read_json(run / "plan.json").get("threads")
    few = (
        f" Its students train on {threads} threads, and there are {cores()} cores." if (threads or 0) > cores() else ""
    )
    return (
        f"This run goes on where other things are at hand than where it began: {'; '.join(other)}.{few} What "
        "is trained from here on may differ in its last digits from what one machine would have given."
    )


def _agree(run: Path, kind: str, found: dict[str, str], what: str, remedy: str = _ANOTHER) -> None:
    """Compare with what was kept of a kind, or keep it."""
    if rank() > 0:
        return
    content = read_began(run)
    held = content.get(kind)
    if held is None:
        write_json(run / BEGAN, {**content, kind: found})
        return
    differing = [name for name in {**held, **found} if held.get(name) != found.get(name)]
    if differing:
        raise ConfigError(
            f"{run} began with other content: {what} ({_listed(differing)}) is not what it was. To go on, {remedy}: "
            "half a run of each would be compared as one."
        )


def _restore(run: Path) -> str:
    return (
        f"To go on, write the settings anew: {run / BEGAN} holds them as the run began; or begin another run by --out."
    )


def _listed(names: list[Any]) -> str:
    return ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
