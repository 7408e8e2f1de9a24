"""A model card: what taught a student, on what, how it compares, and what is not known of its licences."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kantor.core.errors import ConfigError
from kantor.core.markdown import block, code, text
from kantor.core.names import folder_name
from kantor.core.reading import read_json
from kantor.data.own import short_name
from kantor.models import Model
from kantor.models.families import is_text
from kantor.models.spec import parse
from kantor.results.files import read_result
from kantor.results.records import Environment, Summary
from kantor.results.rows import test_value
from kantor.results.table import markdown
from kantor.study.resume.fingerprints import settings_of
from kantor.tasks import Scale


@dataclass(frozen=True)
class Origin:
    """The run that a student is of."""

    run: Path
    method: str
    seed: int
    summary: Summary
    """Of the run; empty where it is not finished."""

    @classmethod
    def of(cls, run: Path, folder: Path) -> "Origin":
        """Of the student in ``RUN/METHOD/seed-K``."""
        summary = read_json(run / "summary.json", Summary)
        seed = int(folder.name.removeprefix("seed-"))
        names = [name for name in summary.get("methods", {}) if (run / folder_name(name)) == folder.parent]
        return cls(run, next(iter(names), folder.parent.name), seed, summary)

    @property
    def scale(self) -> Scale:
        """Of the metric."""
        return Scale.parse(self.summary.get("metric"))

    def reached(self) -> float | None:
        """What the student reached on the test part; None where it was not judged."""
        found = read_result(self.run / folder_name(self.method) / f"seed-{self.seed}")
        return None if not found or not self.summary.get("metric") else test_value(found, self.scale)


def card(model: Model, library: str, use: str, origin: Origin | None, licence: str | None) -> str:
    """The README.md of a folder for the Hub.

    Args:
        model: the student.
        library: that loads the folder.
        use: the lines of Python that do it.
        origin: the run that it is of; None where that is not known.
        licence: of the weights, by its identifier; None is said to be unknown.
    """
    head = "\n".join(_front(model, library, origin, licence))
    return f"---\n{head}\n---\n\n" + "\n\n".join(_body(model, use, origin, licence)) + "\n"


def _front(model: Model, library: str, origin: Origin | None, licence: str | None) -> Iterator[str]:
    """The metadata, in YAML; every value as JSON, which is YAML too."""
    yield f"license: {json.dumps(licence or 'unknown')}"
    yield f"library_name: {library}"
    yield "tags: [kantor, knowledge-distillation, optimal-transport]"
    if kind := _pipeline(model, origin):
        yield f"pipeline_tag: {kind}"
    if origin is None:
        return
    data = short_name(settings_of(origin.run).data)
    yield f"datasets: {json.dumps([data])}"
    reached = origin.reached()
    if reached is None:
        return
    metric = {"type": origin.scale.name, "value": round(reached, 6)}
    task = {"type": kind or "other"}
    result = {"task": task, "dataset": {"name": data, "type": data, "split": "test"}, "metrics": [metric]}
    yield f"metrics: {json.dumps([origin.scale.name])}"
    yield f"model-index: {json.dumps([{'name': model.name, 'results': [result]}])}"


def _pipeline(model: Model, origin: Origin | None) -> str | None:
    if origin is not None and settings_of(origin.run).task not in ("labels", "classification"):
        return None
    return "text-classification" if is_text(model.input_shape) else _of_shape(model.input_shape)


def _of_shape(shape: tuple[int, ...]) -> str:
    return "image-classification" if len(shape) == 3 else "tabular-classification"


def _body(model: Model, use: str, origin: Origin | None, licence: str | None) -> Iterator[str]:
    parameters = sum(p.numel() for p in model.parameters())
    yield f"# {text(model.name)}"
    names = "" if model.class_names is None else f": {', '.join(map(text, model.class_names[:20]))}"
    more = ", ..." if len(model.class_names or []) > 20 else ""
    yield f"{code(model.spec)}, {parameters:,} parameters, {model.num_classes} outputs{names}{more}."
    if origin is None:
        yield "How it was trained is not known to what wrote this card: say it here."
    else:
        yield from _training(origin)
    yield f"## Use\n\n{_inputs(model)}\n\n{block(use, 'python')}"
    yield f"## Licences\n\n{_licences(origin, licence)}"


def _training(origin: Origin) -> Iterator[str]:
    settings, facts = settings_of(origin.run), read_json(origin.run / "environment.json", Environment)
    parts = origin.summary.get("data", {}).get("parts", {})
    seen = ", ".join(f"{part['samples']:,} {name}" for name, part in parts.items())
    data = text(settings.data) + (f" ({seen})" if seen else "")
    lines = [
        f"- Trained with {code(origin.method)}, seed {origin.seed}, on {data}.",
        *(_teacher(one, origin.scale) for one in origin.summary.get("teachers", [])),
    ]
    row = origin.summary.get("methods", {}).get(origin.method)
    if row and (weights := row.get("weights")):
        lines.append(f"- Weights of its terms: {', '.join(f'{text(k)} {v:g}' for k, v in _numbers(weights))}.")
    reached = origin.reached()
    if reached is not None:
        lines.append(f"- **{origin.scale.said_on(reached, 'the test part')}**, which was read once, at the end.")
    yield "## Training\n\n" + "\n".join(lines)
    if origin.summary.get("metric") and origin.summary.get("methods"):
        yield (
            "## Comparison\n\nMethods over seeds on the test part, with 95 % t intervals; differences are paired by "
            f"seed with the student alone.\n\n{markdown(origin.summary)}"
        )
    if command := facts.get("command"):
        yield f"Made by kantor:\n\n{block(command, 'sh')}"


def _teacher(teacher: Mapping[str, Any], scale: Scale) -> str:
    reached = teacher.get("reached")
    judged = "" if reached is None else f"; {scale.said_on(reached, 'the test part')}"
    spec = Path(teacher["spec"]).name
    with contextlib.suppress(ConfigError):
        spec = parse(teacher["spec"]).architecture
    return f"- Taught by {code(spec)} ({text(teacher['name'])}), trained on {text(teacher['saw'])}{judged}."


def _numbers(weights: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name, value in weights.items() if isinstance(value, int | float))


def _inputs(model: Model) -> str:
    shape = model.input_shape
    if is_text(shape):
        return f"It reads tokens of its own tokenizer, at most {shape[0]} of a text."
    if len(shape) != 3:
        return f"It reads vectors of {shape[0]} numbers, normalised by: {_normaliser(model)}."
    size = "" if model.size is None else f", resized to {model.size} x {model.size} (bilinear, antialiased)"
    images = f"images of {shape[0]} channel(s) of {shape[1]} x {shape[2]}, in [0, 1]{size}"
    return f"It reads {images}; {_normaliser(model)}."


def _normaliser(model: Model) -> str:
    facts = model.normalise.facts()
    if facts["mode"] == "none" or facts["mean"] is None:
        return "not normalised"
    if len(facts["mean"]) > 4:
        return f"mean and deviation of the training data, {len(facts['mean'])} numbers each, in the file's metadata"
    mean, std = ([round(x, 4) for x in facts[key]] for key in ("mean", "std"))
    return f"mean {mean} and deviation {std}"


def _licences(origin: Origin | None, licence: str | None) -> str:
    said = "not stated yet: give one before you share it" if licence is None else text(licence)
    teachers = [] if origin is None else origin.summary.get("teachers", [])
    outputs = "whose outputs they were trained on: not known; look it up"
    lines = [f"- These weights: {said}.", *(f"- The teacher {text(one['name'])}, {outputs}." for one in teachers)]
    if origin is not None:
        lines.append(f"- The data, {text(settings_of(origin.run).data)}: not known; look it up.")
    return "\n".join(lines)
