"""Kinds of input: each draws one from a random generator, in a folder of its own, and says how to try it."""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutate
from functions import call_of
from world import TRAIN

MODEL = "mlp@hidden=6:student.safetensors"


@dataclass(frozen=True)
class Input:
    """What is tried, in words, and the call that tries it."""

    shown: str
    call: Callable[[], Any]


def command(arguments: list[str]) -> Input:
    """A command line, in this process."""
    from kantor.cli import main

    return Input("kantor " + " ".join(map(repr, arguments))[:400], lambda: main(arguments))


def methods(rng: random.Random, place: Path, world: Path) -> Input:
    """Texts and mappings for ``--methods``, as far as their terms."""
    from kantor.losses import LOSSES
    from kantor.study.settings.methods import parse_methods

    names = (*LOSSES, "l2_sp", "none")
    settings = (
        "temperature",
        "cost",
        "epsilon",
        "stages",
        "plan_momentum",
        "spatial",
        "auto",
        "momentum",
        "cells",
        "at",
        "start",
    )
    term = rng.choice(names)
    for _ in range(rng.randint(0, 3)):
        term += f"@{rng.choice(settings)}={mutate.text(rng, '1')}"
    term += rng.choice(("", ":1", ":auto", ":auto=0.3", f":{mutate.text(rng, '1')}"))
    given: Any = rng.choice((term, f"{term}+kd", f"none,{term}", mutate.text(rng, term)))
    if rng.random() < 0.3:
        given = [
            mutate.tree(
                rng,
                {"name": "m", "task": 1.0, "terms": [{"loss": "kd", "weight": 1.0, "settings": {"temperature": 4}}]},
            )
        ]

    def call() -> None:
        for method in parse_methods(given):
            for each in method.terms:
                each.fresh()

    return Input(f"parse_methods({given!r})"[:400], call)


def specs(rng: random.Random, place: Path, world: Path) -> Input:
    """Names of models, with their options."""
    from kantor import load

    given = rng.choice(
        (MODEL, "resnet8", "cnn@width=8", "mlp@hidden=8@normalise=none", "vit@patch=4", "timm:x", "torchvision:x")
    )
    given = mutate.text(rng, given)
    classes = rng.choice((3, 3, 0, -1, None, ["a", "b", "c"], ["a", "a"], []))
    shape = rng.choice(((5,), (3, 8, 8), (0,), (3, 0, 8), (), (-1,), None))
    return Input(
        f"load({given!r}, classes={classes}, input_shape={shape})",
        lambda: load(given, classes=classes, input_shape=shape),
    )


_OPTIONS = {
    "distill": """data student teacher start methods seeds classes labels_per_class train_limit unlabelled validation
        image_size views label lr epochs batch_size optimizer weight_decay schedule warmup augment precision select
        cache cache_limit threads out task label_cost teacher_classes teacher_weights tune tune_lr clip config momentum
        validate_every""",
    "rank": "data teachers scores label_cost student part train_limit view bootstrap batch_size out config",
    "compare": "data split samples cost top views label batch_size out",
    "evaluate": "model data split image_size view label classes",
    "prune": "keep student data by out samples steps seed label",
    "export": "format output input_shape bare license",
    "probe": "data label",
    "analyse": "top",
    "report": "output",
    "watch": "every",
    "resume": "",
    "methods": "",
    "completion": "",
}
_BASE = {
    "distill": ["--data=vectors.npz", "--methods=none,kd", "--out=new", *TRAIN],
    "rank": ["--data=vectors.npz", f"--teachers={MODEL}", "--bootstrap=5", "--out=new"],
    "compare": [MODEL, MODEL, "--data=vectors.npz", "--out=new"],
    "evaluate": [f"--model={MODEL}", "--data=vectors.npz"],
    "prune": [MODEL, "--data=vectors.npz", "--keep=4", "--by=magnitude", "--out=new"],
    "export": [MODEL, "--output=new.safetensors"],
    "probe": ["run"],
    "analyse": ["run"],
    "report": ["run"],
    "watch": ["run", "--once"],
    "resume": ["run"],
    "methods": [],
    "completion": ["bash"],
}


def _in_world(place: Path, world: Path, *names: str) -> None:
    for name in names or tuple(path.name for path in world.iterdir()):
        (shutil.copytree if (world / name).is_dir() else shutil.copy)(world / name, place / name)


def command_lines(rng: random.Random, place: Path, world: Path) -> Input:
    """Command lines of every command, with one to three odd values, names or arguments."""
    _in_world(place, world)
    name = rng.choice(list(_OPTIONS))
    arguments = [name, *_BASE[name]]
    for _ in range(rng.randint(1, 3)):
        how = rng.random()
        if how < 0.75 and _OPTIONS[name]:
            option = rng.choice(_OPTIONS[name].split())
            before = next(
                (a.partition("=")[2] for a in arguments if a.startswith(f"--{option.replace('_', '-')}=")), "1"
            )
            arguments.append(f"--{option.replace('_', '-')}={mutate.text(rng, before)}")
        elif how < 0.9:
            k = rng.randrange(1, len(arguments)) if len(arguments) > 1 else 0
            arguments[k] = mutate.text(rng, arguments[k]) if k else name
        else:
            arguments.append(mutate.text(rng, "--seed"))
    if name == "watch" and "--once" not in arguments:
        arguments.append("--once")
    return command([argument.replace("\x00", "") for argument in arguments])


def read_back(rng: random.Random, place: Path, world: Path) -> Input:
    """Files that kantor wrote and reads again, damaged, and the command that reads them."""
    kind = rng.choice(("run", "run", "run", "rank", "compare", "teachers", "study"))
    if kind in ("teachers", "study"):
        _in_world(place, world, "vectors.npz", "student.safetensors", "student.pt")
        source = world / f"{kind}.yaml"
        (place / source.name).write_bytes(mutate.written(rng, source.read_text(), ".yaml"))
        if kind == "study":
            return command(["distill", "--config=study.yaml", "--jobs=1", "--threads=1", "--epochs=1", "--out=new"])
        return command(["rank", "--data=vectors.npz", "--teachers=teachers.yaml", "--bootstrap=5", "--out=new"])
    _in_world(place, world, kind, "vectors.npz", "student.safetensors", "student.pt")
    files = sorted(path for path in (place / kind).rglob("*") if path.is_file() and path.suffix != ".html")
    if rng.random() < 0.6:
        files = [path for path in files if path.suffix in (".json", ".jsonl", ".yaml")]
    path = rng.choice(files)
    if path.suffix in (".json", ".jsonl", ".yaml"):
        path.write_bytes(mutate.written(rng, path.read_text(), path.suffix))
    elif rng.random() < 0.1:
        path.unlink()
    else:
        path.write_bytes(mutate.content(rng, path.read_bytes()))
    commands = [["report", kind]]
    if kind == "run":
        commands += [["resume", "run"], ["probe", "run"], ["analyse", "run"], ["watch", "run", "--once"]]
        commands += [["evaluate", "run/kd/seed-0"], ["export", "run/kd/seed-0"]]
    if kind == "rank":
        more = ["--methods=none,kd", "--student=mlp@hidden=6", "--epochs=1", "--seeds=1", "--jobs=1", "--out=new"]
        commands.append(["distill", "--data=vectors.npz", "--teacher=best:rank/ranking.json", *more])
    tried = command(rng.choice(commands))
    return Input(f"{path.relative_to(place)} damaged; {tried.shown}", tried.call)


def data(rng: random.Random, place: Path, world: Path) -> Input:
    """Data sets of every form, damaged or strangely laid out."""
    from kantor import open_data

    names = ("vectors.npz", "parts.npz", "pictures.npz", "photos", "photos.zip", "table")
    name = rng.choice([name for name in names if (world / name).exists()])
    _in_world(place, world, name)
    files = (
        sorted(path for path in (place / name).rglob("*") if path.is_file())
        if (place / name).is_dir()
        else [place / name]
    )
    for _ in range(rng.choice((1, 1, 2))):
        path = rng.choice(files)
        if rng.random() < 0.7 or name != "photos":
            if path.exists():
                path.write_bytes(mutate.content(rng, path.read_bytes()))
        else:
            _strange_entry(rng, place / name, path)
    settings: dict[str, Any] = {}
    if rng.random() < 0.3:
        settings["skip_corrupt"] = True
    if rng.random() < 0.3:
        settings["image_size"] = rng.choice((4, 0, -1, 10**9))
    if rng.random() < 0.15:
        settings[rng.choice(("validation", "train_limit", "labels_per_class"))] = rng.choice((0, 1, 2, 5, -1, 0.5))
    if rng.random() < 0.1:
        settings["need_labels"] = False

    def call() -> None:
        opened = open_data(place / name, **settings)
        opened.facts()
        opened.train.check()

    return Input(f"open_data({name!r} damaged, {settings})", call)


def _strange_entry(rng: random.Random, root: Path, path: Path) -> None:
    folder = rng.choice([root, root / "train", root / "train" / "cat", root / "test"])
    name = mutate.text(rng, "cat").replace("\x00", "").replace("/", "_")[:100] or "x"
    how = rng.randrange(6)
    try:
        if how == 0:
            (folder / name).mkdir(exist_ok=True)
        elif how == 1:
            (folder / f"{name}.png").write_bytes(rng.randbytes(20))
        elif how == 2:
            (folder / name).symlink_to(rng.choice([root, folder, root / "nowhere"]))
        elif how == 3:
            path.rename(folder / f"{name}{path.suffix.upper()}")
        elif how == 4:
            shutil.rmtree(folder)
        else:
            folder.rename(folder.parent / name)
    except (OSError, UnicodeEncodeError):
        pass


def weights(rng: random.Random, place: Path, world: Path) -> Input:
    """Files of weights, label costs and words."""
    from kantor import load
    from kantor.faculty.matrix import matrix_costs

    name = rng.choice(("student.safetensors", "student.pt", "matrix.npz"))
    _in_world(place, world, name)
    (place / name).write_bytes(mutate.content(rng, (world / name).read_bytes()))
    classes = ["cat", "dog", "eel"]
    if name == "matrix.npz":
        return Input(f"matrix_costs({name} damaged)", lambda: matrix_costs(place / name, classes, {"a": classes}))
    return Input(f"load(mlp:{name} damaged)", lambda: load(f"mlp@hidden=6:{place / name}", classes=3, input_shape=(5,)))


def functions(rng: random.Random, place: Path, world: Path) -> Input:
    """Public losses and transport, called with odd tensors."""
    return Input(*call_of(rng))


FAMILIES: dict[str, tuple[int, Callable[[random.Random, Path, Path], Input]]] = {
    "methods": (25, methods),
    "models": (10, specs),
    "data": (20, data),
    "weights": (8, weights),
    "functions": (20, functions),
    "files": (9, read_back),
    "commands": (8, command_lines),
}
"""By name: how many of a hundred inputs are such, and what draws one."""
