"""A study in one call."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from kantor.core.errors import ConfigError, suggest
from kantor.core.objects import at_hand
from kantor.core.terminal import Terminal, terminal
from kantor.in_python.comparison import Comparison
from kantor.in_python.named import Names
from kantor.report import write
from kantor.study.settings.study import Study
from kantor.study.sweep import run_sweep
from kantor.tasks import Task

Network = str | nn.Module | Callable[..., nn.Module]


def study(
    *,
    student: Network,
    data: Any,
    teacher: Network | Sequence[Network] | Mapping[str, nn.Module | Callable[..., nn.Module]] | None = None,
    methods: str | Sequence[Any] | Mapping[str, Any] = "none,kd,neuron_transport",
    seeds: int | Sequence[int] = 5,
    task: str | Task | type[Task] | Callable[..., Any] = "labels",
    out: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Comparison:
    """Compare a student with transfer from a teacher to the student alone, over seeds: ``kantor distill`` from Python.

    It is the same study: the same step 0, folder, resume, numbers and page; every argument takes what the command does,
    as text. The same call again goes on where it was stopped, or returns at once.

    What is no text stays in this process, and students are trained in it one after another (``jobs=1``). Functions and
    classes that a module of yours defines at its top are known by their name instead, ``my_nets:small``: then students
    may train in processes of their own, and ``kantor resume`` and ``kantor export`` find them without your program.

    Args:
        student: a name; a function or class that makes a network, called for every seed with ``num_classes`` and
            ``input_shape`` where it takes them; or a network, of which every student is a copy with its weights, which
            step 0 says.
        data: a path or name; arrays by name (:func:`kantor.open_data`), or whatever yields samples or batches: a
            loader, a data set of torch, torchvision or Hugging Face, WebDataset, a list of pairs, a function that
            returns one; or one of these for each part, ``{"train": ..., "validation": ..., "test": ...}``. It is read
            once, in its own order.
        teacher: a name; a network, which is taken as trained and sees what the data has (a model of
            :func:`kantor.load` brings its preprocessing); a function that makes one, which is trained first; a list of
            these, or a mapping from what they are to be called.
        methods: as on the command line, a list of such texts and of mappings as YAML has them, or a mapping from names
            to terms, each a text, a :class:`kantor.Term`, or a loss of your own: a
            :class:`kantor.losses.TransferLoss`, of which every student has a copy. One of these in a list is a method
            by itself.
        seeds: how many, or which.
        task: what is learned, by name; or a :class:`kantor.Task`; or a plain loss on outputs and labels, which then
            judges too.
        out: the run's folder; under ``runs`` if left out, by settings and objects.
        quiet: print nothing.
        settings: every other setting of ``kantor distill``, with an underscore for a dash.

    Returns:
        What was found. Its page is in the run's folder.

    Raises:
        KantorError: what cannot be done, before hours are spent where that is possible.
    """
    known = {one.name for one in dataclasses.fields(Study)}
    for name in settings:
        if name not in known:
            raise ConfigError(f"study has no setting {name!r}. {suggest(name, known)}")
    names = Names()
    given: dict[str, Any] = {
        "student": names.of_model(student, "student"),
        "data": names.of_data(data, settings.get("image_size")),
        "teacher": names.of_teachers(teacher),
        "methods": names.of_methods(methods),
        "seeds": list(seeds) if isinstance(seeds, Sequence) and not isinstance(seeds, str) else seeds,
        "task": names.of_task(task),
        **settings,
    }
    if "start" in settings:
        given["start"] = names.of_model(settings["start"], "start")
    if names.objects:
        _train_here(given, list(names.objects))
    config = Study(**given, out=None if out is None else str(out))
    if names.objects and out is None:
        config.out = str(Path("runs") / f"{config.folder().name}-{names.digest()}")
    console = Terminal(quiet=True) if quiet else terminal()

    def page(run: Path) -> None:
        console.print(f"Its report is {write(run)}", soft_wrap=True)

    with at_hand(names.objects):
        return Comparison(tuple(run_sweep(config, console, page)), names.objects)


def _train_here(given: dict[str, Any], objects: list[str]) -> None:
    """Objects are in one process: students train there.

    Raises:
        ConfigError: several processes are asked for.
    """
    if given.get("jobs", 0) not in (0, 1):
        raise ConfigError(
            f"jobs={given['jobs']}: processes of their own cannot see {', '.join(objects)}, which are in this one "
            "alone. Leave jobs out; or define them at the top of a module that can be imported, and hand over that."
        )
    given["jobs"] = 1
