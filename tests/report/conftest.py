"""Runs made of files alone, in the layout that training leaves, with numbers that are known."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from kantor.analysis import layer_matrices, look_at_pair
from kantor.analysis.pairs import write_neurons
from kantor.faculty.ranking import Judged, Ranking, places, recommendation
from kantor.results.statistics import paired_difference, t_interval
from kantor.training.plans import LARGEST, quantised

CLASSES = ["cat", "dog", "ship", "<b>bird</b>"]
EPOCHS = 4
STEPS = 8


def make_run(
    folder: Path,
    accuracy: Mapping[str, Sequence[float]],
    *,
    seconds: Mapping[str, float] | None = None,
    widths: tuple[int, int] = (12, 6),
    layers: tuple[str, str] = ("layer3", "teacher:layer3"),
    epochs: int = EPOCHS,
    summary: bool = True,
    weights: Mapping[str, Any] | None = None,
    peak: int | None = None,
    gradient: bool = False,
    exciting: bool = False,
) -> Path:
    """Write a run.

    Args:
        folder: where.
        accuracy: by method, of seeds 0, 1, ...
        seconds: by method, of a student; 2 if left out.
        widths: of teacher and student layer; over 512 they are recorded as training records wide layers.
        layers: of the recorded plan: student's, teacher's.
        summary: write ``summary.json``, as a finished study does.
        weights: of every transfer method; 2 for each of its terms if left out.
        peak: bytes, in every result.
        gradient: record shares of the gradient.
        exciting: record what excites each unit, and a probe of 40 grey images of 8 x 8: teacher unit ``i`` is excited
            by samples ``i``, ``i + 1`` and so on, and so is the student unit that it goes to.
    """
    seeds = len(next(iter(accuracy.values())))
    draw = np.random.default_rng(0)
    _settings(folder, list(accuracy), seeds, epochs)
    for method, reached in accuracy.items():
        terms = [] if method == "none" else method.split("+")
        for seed, share in enumerate(reached):
            place = folder / method.replace(":", "=") / f"seed-{seed}"
            place.mkdir(parents=True)
            lines: list[dict[str, Any]] = [{"epoch": 0, "step": 0, "validation/accuracy": 0.25, "validation/loss": 1.4}]
            for epoch in range(1, epochs + 1):
                line = {"epoch": epoch, "step": epoch * STEPS // epochs, "train/loss": 9.0 / epoch}
                line |= {"train/task": 1.0 / epoch, "train/accuracy": share * epoch / epochs}
                line |= {f"train/{term.partition(':')[0]}": 4.0 / epoch**2 for term in terms}
                if gradient:
                    line |= {f"gradient_share/{term.partition(':')[0]}": 0.5 / len(terms) for term in terms}
                    line["gradient_share/task"] = 0.5
                line |= {"validation/accuracy": share - 0.1 / epoch, "validation/loss": 0.3 / epoch + seed}
                lines.append(line)
            (place / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
            spent = 2.0 if seconds is None else seconds[method]
            (place / "timing.jsonl").write_text(json.dumps({"step": STEPS, "seconds": spent}) + "\n")
            result = {
                "accuracy": share,
                "loss": 0.2,
                "validation_accuracy": share,
                "epoch": epochs,
                "epochs": epochs,
                "steps": STEPS,
                "seconds": spent,
                "confusion": confusion(share).tolist(),
                "weights": {"task": 1.0, **(weights or {t.partition(":")[0]: 2.0 for t in terms})}
                if terms
                else {"task": 1.0},
            }
            if peak is not None:
                result["peak_memory"] = peak
            (place / "result.json").write_text(json.dumps(result))
            for epoch in range(epochs + 1):
                _plan(
                    place / "plans" / f"epoch-{epoch:03d}.npz",
                    draw,
                    epoch / epochs,
                    widths,
                    layers,
                    excited(widths) if exciting else {},
                )
    if exciting:
        pictures = draw.integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
        np.savez_compressed(
            folder / "plan-samples.npz", ids=100 + np.arange(40), targets=np.arange(40) % 4, student=pictures
        )
    if summary:
        _summary(folder, accuracy, seconds)
    return folder


def confusion(share: float) -> np.ndarray:
    """100 samples of each class: those that are wrong are all taken for the next class."""
    right = round(100 * share)
    return right * np.eye(len(CLASSES), dtype=int) + (100 - right) * np.roll(np.eye(len(CLASSES), dtype=int), 1, axis=1)


def planted(rows: int, columns: int) -> np.ndarray:
    """A plan whose row ``i`` goes to column ``i * columns // rows``, then rows and columns are shuffled."""
    plan = np.zeros((rows, columns))
    plan[np.arange(rows), np.arange(rows) * columns // rows] = 1 / rows
    by_rows, by_columns = _shuffled(rows, columns)
    return plan[by_rows][:, by_columns]


def planted_order(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The orders that undo the shuffling."""
    by_rows, by_columns = _shuffled(rows, columns)
    return np.argsort(by_rows), np.argsort(by_columns)


def _shuffled(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    return draw.permutation(rows), draw.permutation(columns)


def excited(widths: tuple[int, int]) -> dict[str, np.ndarray]:
    """Samples that excite each unit: matched units by the same ones. Teacher unit 1 is silent."""
    samples = (np.arange(widths[0])[:, None] + np.arange(6)) % 40
    partner = planted(*widths).argmax(axis=0)  # the first teacher unit that goes to a student unit
    arrays = {"teacher_exciting_0": samples.copy(), "student_exciting_0": samples[partner]}
    arrays["teacher_exciting_0"][1] = -1
    return arrays


def _plan(path: Path, draw: Any, share: float, widths: Any, layers: Any, samples: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    sharp = planted(*widths)
    plan = share * sharp + (1 - share) / sharp.size
    cost = 1 - sharp * widths[0] + 0.01 * draw.random(sharp.shape)
    content = {"plan_0": plan, "cost_0": cost}
    if max(widths) > LARGEST:
        content = {"plan_0": np.zeros((LARGEST, LARGEST)), "cost_0": np.zeros((LARGEST, LARGEST))}
        rows, columns = planted_order(*widths)
        samples = samples | {
            "masses_0": quantised(plan, plan.max()),
            "largest_0": plan.max(),
            "rows_0": rows,
            "columns_0": columns,
            "paid_0": np.array([(plan * cost).sum(), cost.mean()]),
        }
    np.savez_compressed(
        path,
        **{name: array.astype(np.float32) for name, array in content.items()},
        student_layer_0=np.array(layers[0]),
        teacher_layer_0=np.array(layers[1]),
        widths_0=np.array(widths),
        **samples,
    )


def _settings(folder: Path, methods: list[str], seeds: int, epochs: int) -> None:
    folder.mkdir(parents=True)
    config = {
        "data": "digits",
        "student": "cnn@width=6",
        "teacher": "cnn@width=12",
        "methods": ",".join(methods),
        "seeds": seeds,
        "epochs": epochs,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    environment = {
        "python": "3.11.7",
        "packages": {"kantor": "0.1.0", "torch": "2.6.0"},
        "machine": "x86_64",
        "system": "Linux",
        "cores": 2,
        "gpus": [],
        "command": "kantor distill --data digits",
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    task = {"name": "task", "student": [], "teacher": [], "value": 1.4, "weight": 1.0, "gradient_share": 1.0}
    teacher = {
        "name": "teacher",
        "parameters": 900,
        "ratio": 3.0,
        "mode": "frozen, eval",
        "source": "cached",
        "accuracy": 1.0,
    }
    checked = {
        m: {
            "student_parameters": 300,
            "trained_parameters": 300,
            "teachers": [] if m == "none" else [teacher],
            "terms": [task | {"settings": "", "reason": ""}],
        }
        for m in methods
    }
    data = {
        "data": "pets",
        "classes": 4,
        "class_names": CLASSES,
        "parts": {"train": {"samples": 800, "of": 1200}, "test": {"samples": 400, "of": 1200}},
    }
    (folder / "step0.json").write_text(json.dumps({"data": data, "methods": checked}))
    plan = {"teachers": {"teacher": {"facts": {"classes": CLASSES}}}, "bound": {method: [] for method in checked}}
    (folder / "plan.json").write_text(json.dumps(plan))


def _summary(folder: Path, accuracy: Mapping[str, Sequence[float]], seconds: Mapping[str, float] | None) -> None:
    methods: dict[str, Any] = {}
    for method, reached in accuracy.items():
        difference = None
        if method != "none" and "none" in accuracy:
            mean, interval = paired_difference(list(reached), list(accuracy["none"]))
            difference = {"to": "none", "mean": mean, "interval": interval, "seeds": list(range(len(reached)))}
        spent = 2.0 if seconds is None else seconds[method]
        methods[method] = {
            "seeds": list(range(len(reached))),
            "accuracy": list(reached),
            "mean": float(np.mean(reached)),
            "interval": t_interval(list(reached)),
            "difference": difference,
            "seconds": spent,
            "seconds_per_seed": [spent] * len(reached),
        }
    teachers = [{"name": "teacher", "spec": "cnn@width=12:teacher.safetensors", "saw": "1,200 training images"}]
    (folder / "summary.json").write_text(json.dumps({"methods": methods, "complete": True, "teachers": teachers}))


CLEAR = {"none": [0.80, 0.82, 0.81], "kd": [0.84, 0.85, 0.86], "kd+neuron_transport": [0.88, 0.90, 0.89]}
"""Accuracies of a run whose transfer helps."""


@pytest.fixture
def made(tmp_path) -> Callable[..., Path]:
    """Makes a run: ``made(accuracy, **settings)``; see :func:`make_run`."""

    def make(accuracy: Mapping[str, Sequence[float]] = CLEAR, name: str = "run", **settings: Any) -> Path:
        return make_run(tmp_path / name, accuracy, **settings)

    return make


TILES = {"file": "samples.jpg", "tile": 8, "columns": 6, "ids": list(range(30)), "classes": ["cat", "dog"] * 15}
"""Thumbnails of every sample that the neurons below have seen."""


def neurons(path: Path, widths: tuple[int, int] = (6, 4)) -> Any:
    """Two layers over 30 samples, the second made of the first's neurons; their npz, and what is known of them."""
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(30, widths[0], generator=draw)
    b = a[:, : widths[1]].flip(1) + 0.3 * torch.randn(30, widths[1], generator=draw)
    found = look_at_pair(("layer2", a), ("layer3", b))
    write_neurons(path, {"one": [found]}, np.arange(30))
    Image.new("L", (48, 40), 128).save(path.parent / "samples.jpg")
    return found, layer_matrices({"layer1": a[:, :2], "layer2": a}, {"layer2": b[:, :3], "layer3": b})


@pytest.fixture
def compared() -> Callable[..., dict[str, Any]]:
    """Writes what ``kantor compare`` writes: ``compared(folder, name="one", predictions=..., samples=...)``."""

    def write(folder: Path, name: str = "one", **changes: Any) -> dict[str, Any]:
        found, matrices = neurons(folder / "neurons.npz")
        side = {"parameters": 900, "classes": 2, "stages": [{"path": "layer2", "width": 6}]}
        predictions = {"disagreement": 0.125, "accuracy": [0.9, 0.8], "both_wrong": 0.05}
        content = {
            "a": {"name": name, **side},
            "b": {"name": "two", **side},
            "data": {"name": "pets", "part": "test", "samples": 30},
            "cost": "correlation",
            "cka": "linear, debiased",
            "matrices": vars(matrices),
            "pairs": [found.facts() | {"reason": "the last stages"}],
            "matched": found.partners(),
            "predictions": predictions,
            "neurons": "neurons.npz",
            "views": None,
            "samples": {"a": TILES, "b": TILES},
            "seconds": {"forward passes": 1.0},
            **changes,
        }
        (folder / "compare.json").write_text(json.dumps(content))
        return content

    return write


@pytest.fixture
def analysed() -> Callable[[Path], None]:
    """Writes what ``kantor analyse`` writes of two methods with two seeds: ``analysed(folder)``."""

    def write(folder: Path) -> None:
        _, matrices = neurons(folder / "neurons.npz")
        ends = {"none": [0.8, 0.6, 0.5], "kd": [0.8, 0.5, 0.3]}
        methods = {}
        for method, values in ends.items():
            difference = {"to": "none", "mean": values[-1] - 0.5, "interval": [-0.3, -0.1]} if method == "kd" else None
            last = {"last": [values[-1]] * 2, "mean": values[-1], "interval": [0.1, 0.9], "difference": difference}
            rising = {"seeds": [[0, 0.5, 1]] * 2}
            recorded: dict[str, Any] = dict.fromkeys(("gap", "identity", "entropy", "changed_since_first"), rising)
            recorded["distance"] = {"seeds": [[v - 0.1 for v in values], [v + 0.1 for v in values]]}
            recorded["diagonal"] = {"seeds": [[None] * 3] * 2}
            recorded["changed_since_previous"] = {"seeds": [[None, 0.5, 0.25]] * 2}
            nothing = {"last": [None] * 2, "mean": None, "interval": None, "difference": None}
            measures = dict.fromkeys(("identity", "gap", "entropy", "cka"), last) | {
                "distance": last,
                "diagonal": nothing,
            }
            pair = {"teacher": "layer2", "student": "layer3", "widths": [6, 4], "measures": measures}
            cells = {"distance": matrices.distance, "cka": matrices.cka}
            methods[method] = {
                "seeds": [0, 1],
                "neurons": ["neurons.npz"] * 2,
                "recorded": [
                    {
                        "student": "layer3",
                        "teacher": "teacher:layer2",
                        "widths": [6, 4],
                        "binned": False,
                        "epochs": [0, 1, 2],
                        "measures": recorded,
                    }
                ],
                "final": {
                    "teacher": {
                        "layers": {"teacher": matrices.rows, "student": matrices.columns},
                        **cells,
                        "pairs": [pair],
                    }
                },
            }
        content = {
            "run": "pets",
            "probe": {"part": "validation", "samples": 30},
            "cost": "correlation",
            "cka": "linear, debiased",
            "methods": methods,
            "samples": {"teacher": TILES, "student": TILES},
        }
        (folder / "analysis.json").write_text(json.dumps(content))

    return write


@pytest.fixture
def ranked() -> Callable[[Path], Ranking]:
    """Writes what ``kantor rank`` writes of three teachers and one that failed: ``ranked(folder)``."""

    def write(folder: Path) -> Ranking:
        noise = np.random.default_rng(0).standard_normal(200)
        values = {"near": -0.5, "as_near": -0.52, "far": -1.0}
        draws = {"near": -0.5 + 0.1 * noise, "as_near": -0.52 + 0.1 * noise[::-1], "far": -1 + 0.1 * noise}
        found = places(values, draws)
        teachers = [Judged(n, f"cnn:{n}.safetensors", scores={"transport": v}, passes=10) for n, v in values.items()]
        teachers.append(Judged("lost", "cnn:lost.safetensors", error="<it> is missing"))
        said = recommendation(found, "transport")
        ranking = Ranking("pets", "train", 80, "learned", {"transport": found}, teachers, said)
        ranking.write(folder / "ranking.json")
        return ranking

    return write
