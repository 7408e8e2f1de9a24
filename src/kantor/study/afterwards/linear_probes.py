"""`kantor probe`: a linear probe on every student of a run, layer by layer, and how methods compare by it."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.table import Table

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.core.files import write_json
from kantor.core.locks import locked
from kantor.core.reading import read_json
from kantor.core.seal import student_of
from kantor.data import DataSet, open_data
from kantor.data.views import ROLES
from kantor.models import Model, load
from kantor.models.spec import codes_of
from kantor.results.files import PROBE, read_result
from kantor.results.records import Probed, ProbedLayer, ProbedStudent
from kantor.results.statistics import few, paired_difference, t_interval
from kantor.study.afterwards.evaluate import student_views
from kantor.study.execution.job import Job
from kantor.study.execution.step_zero import Say
from kantor.study.execution.student import new_student, use_threads
from kantor.study.resume.fingerprints import settings_of
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.methods import Method
from kantor.study.settings.resolved import ResolvedStudy
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY
from kantor.training.linear_probe import Probed as LayerProbed
from kantor.training.linear_probe import probe

RANDOM = "random"
"""The row of the untrained student, where the run has no such method."""
_ANEW = "Delete it and probe the run again."


def probe_run(run: Path, data: str | None, label: str | None, say: Say, *, text: str | None = None) -> dict[str, Any]:
    """Probe every finished student of a run and its untrained students; keep what is found in ``probe.json``.

    A student that was probed on the same data before, with the same weights, is not probed again.

    Args:
        run: the run's folder.
        data: labelled data, opened as the student sees it; None for the run's own.
        label: name of its label column or array, where it is not the usual one.
        say: told of each student.
        text: name of its column of texts.

    Returns:
        What ``probe.json`` holds for these data.

    Raises:
        ConfigError: no run, no finished student, or data without labels.
    """
    config = settings_of(run)
    trust.check(*codes_of([config.student]))
    if not (run / "plan.json").exists():
        raise ConfigError(f"{run} has no finished student to probe. `kantor resume` it first.")
    study = ResolvedStudy(config, run)
    own = study.open_data()
    opened = own if data is None else _other(data, label, text, study)
    if opened.train.input_shapes["student"] != own.train.input_shapes["student"]:
        shapes = [list(d.train.input_shapes["student"]) for d in (own, opened)]
        raise ConfigError(
            f"The students see {shapes[0]}, and {opened.name} has {shapes[1]}. Resize it, or give other --data."
        )
    use_threads(Prepared.read(run).threads)
    methods = list(study.methods)
    with locked(run):
        everything = read_json(run / PROBE, dict[str, Probed], remedy=_ANEW)
        known = everything.get(opened.name, {})
        parts = [part for part in (opened.train, opened.validation, opened.test) if part is not None]
        fingerprint = " ".join(part.seen_by("student").fingerprint[:16] for part in parts)
        if known.get("fingerprint") != fingerprint:
            known = {"fingerprint": fingerprint, "students": {}}
        students: dict[str, dict[str, Any]] = known["students"]
        _check_layers(run / PROBE, students)
        for name, seed, model in _students(run, study, own, methods):
            digest = model.weights_digest()
            if students.get(name, {}).get(str(seed), {}).get("weights") == digest:
                continue
            began, scale = time.perf_counter(), study.scale
            found = probe(model.to(study.device), opened, task=study.label_task)
            students.setdefault(name, {})[str(seed)] = {
                "weights": digest,
                "layers": [_record(layer, scale) for layer in found],
                "seconds": round(time.perf_counter() - began, 2),
            }
            reached = ", ".join(
                f"{layer.layer} {scale.text(layer.reached, 1)}" for layer in found if layer.reached is not None
            )
            say(f"{name}, seed {seed}: {reached}")
            # Whole after every student: a probe that is cut off leaves a file that the page can show.
            everything[opened.name] = known | _facts(opened) | _summary(students, methods, study.seeds, study.scale)
            write_json(run / PROBE, everything)
        if not students:
            raise ConfigError(f"{run} has no finished student to probe. `kantor resume` it first.")
        everything[opened.name] = known | _facts(opened) | _summary(students, methods, study.seeds, study.scale)
        write_json(run / PROBE, everything)
    return everything[opened.name]


def table(found: dict[str, Any]) -> Table:
    """What was found, for a terminal: the test metric and paired differences, by method and layer."""
    seeds = (len(row["seeds"]) for rows in found["methods"].values() for row in rows.values())
    out = Table(header_style="bold", caption=few(seeds) or None)
    out.add_column("method", no_wrap=True)
    out.add_column("layer", no_wrap=True)
    scale = Scale.parse(found.get("metric"))
    headings = [f"{scale.name} (95 % interval)", *(f"to {what}" for what in found["bases"].values())]
    for heading in ("seeds", *headings):
        out.add_column(heading, justify="right", no_wrap=True)
    for method, rows in found["methods"].items():
        for layer, row in rows.items():
            differences = [_cell(row["differences"].get(base), scale, signed=True) for base in found["bases"]]
            cells = [method, layer, str(len(row["seeds"])), _cell(row, scale), *differences]
            out.add_row(*cells, end_section=layer == list(rows)[-1])
    return out


def _cell(row: dict[str, Any] | None, scale: Scale, *, signed: bool = False) -> str:
    if row is None:
        return ""
    between = scale.interval(row["interval"], signed=signed)
    mean = scale.signed(row["mean"]) if signed else scale.number(row["mean"])
    return mean + (f" ({between})" if between else "")


def _check_layers(file: Path, students: dict[str, dict[str, ProbedStudent]]) -> None:
    """Refuse a file in which one run's students, which are one network, have other layers."""
    layers = [[layer["layer"] for layer in kept["layers"]] for by in students.values() for kept in by.values()]
    if any(names != layers[0] for names in layers):
        raise DataError(f"{file} cannot be used: its students are not probed at the same layers. {_ANEW}")


def _other(data: str, label: str | None, text: str | None, study: ResolvedStudy) -> DataSet:
    """Other data as the run's students see them."""
    config = study.settings
    return open_data(
        data,
        image_size=config.image_size,
        views=student_views(config),
        label=label,
        text=text,
        tokenizers=lambda: dict.fromkeys(ROLES, study.tokenizers["student"]),
        kind=study.label_task.labels,
    )


def _students(
    run: Path, study: ResolvedStudy, data: DataSet, methods: list[Method]
) -> Iterator[tuple[str, int, Model]]:
    for method in methods:
        for seed in study.seeds:
            folder = Job(method, seed).folder(run)
            if read_result(folder) is not None:
                yield method.name, seed, load(str(student_of(folder)))
    if not any(_untrained(method) for method in methods):
        for seed in study.seeds:
            yield RANDOM, seed, new_student(study, data, seed)[0]


def _facts(data: DataSet) -> dict[str, Any]:
    parts = {name: len(part) for name in ("train", "validation", "test") if (part := getattr(data, name)) is not None}
    return {"data": data.name, "classes": len(data.classes), "samples": parts}


def _record(layer: LayerProbed, scale: Scale) -> dict[str, Any]:
    """As the file keeps it: under ``accuracy`` too where that is the metric, as before there were tasks."""
    return asdict(layer) | ({"accuracy": layer.reached} if scale == ACCURACY else {})


def reached_by(layer: ProbedLayer) -> float:
    """What a probe of a layer reached; before there were tasks, that was its accuracy."""
    found = layer["reached"] if "reached" in layer else layer.get("accuracy")
    return math.nan if found is None else found


def _untrained(method: Method) -> bool:
    return not method.terms and method.task == 0


def _summary(
    students: dict[str, dict[str, Any]], methods: list[Method], seeds: Sequence[int], scale: Scale
) -> dict[str, Any]:
    """By method and layer: what was reached, its mean and interval, and paired differences to each base."""
    bases = {next((m.name for m in methods if _untrained(m)), RANDOM): "untrained"}
    supervised = next((m.name for m in methods if not m.terms and m.task > 0), None)
    if supervised is not None:
        bases[supervised] = "labels alone"
    order = [name for name in (*(m.name for m in methods), RANDOM) if name in students]
    reached = {
        name: {
            int(seed): {layer["layer"]: reached_by(layer) for layer in kept["layers"]}
            for seed, kept in students[name].items()
            if int(seed) in seeds
        }
        for name in order
    }
    rows: dict[str, dict[str, Any]] = {}
    for name, by_seed in reached.items():
        seeds = sorted(by_seed)
        rows[name] = {}
        for layer in by_seed[seeds[0]]:
            values = [by_seed[seed][layer] for seed in seeds]
            differences = {}
            for base in bases:
                both = [seed for seed in seeds if seed in reached.get(base, {})]
                if base != name and both:
                    ours, theirs = ([of[seed][layer] for seed in both] for of in (by_seed, reached[base]))
                    mean, interval = paired_difference(ours, theirs)
                    differences[base] = {"mean": mean, "interval": interval, "seeds": both}
            rows[name][layer] = {
                "seeds": seeds,
                "accuracy": values if scale == ACCURACY else None,
                "values": values,
                "mean": fmean(values),
                "interval": t_interval(values),
                "differences": differences,
            }
    return {"metric": scale.record(), "bases": bases, "methods": rows}
