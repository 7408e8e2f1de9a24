"""Two models on one data set: how far apart, who matches whom, where they disagree."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from kantor.analysis.activations import activations, fitted
from kantor.analysis.file_types import Comparison
from kantor.analysis.matrices import layer_matrices
from kantor.analysis.pairs import PairFound, look_at_pairs, write_neurons
from kantor.analysis.predictions import compare_predictions
from kantor.analysis.samples import all_rows, sheet
from kantor.analysis.vocabularies import compared_vocabularies
from kantor.capture import LOGITS, Layer, pair, stages
from kantor.core import seeds
from kantor.core.errors import ConfigError, DataError
from kantor.core.files import refuse_shared, write_bytes, write_json
from kantor.core.inputs import on_device
from kantor.core.shape import check_settings
from kantor.data import DataSet, Part, open_data
from kantor.data.part import Progress, sample
from kantor.data.tokenizer import Tokenizer
from kantor.data.views import COMPARED, ROLES, written_views
from kantor.faculty.roster import spec_of, teacher_names
from kantor.models import Model, has_weights, load, load_trained
from kantor.models.own_tokenizer import needed_tokenizer, own_tokenizer
from kantor.ot.cost import CostKind
from kantor.tasks import named
from kantor.training.device import chosen_device

_ENOUGH = 10_000
"""Training samples opened at most where no more are compared on."""


@dataclass(kw_only=True)
class Compare:
    """Two models, layer by layer.

    Args:
        model_a: NAME:FILE, a safetensors file that kantor wrote, or RUN/METHOD/seed-K.
        model_b: the other one.
        data: digits, a folder or zip of class folders, a folder of parquet files, a table of texts, an npz of named
            arrays, or a reader of your own, package.module:open_it@SETTING=VALUE.
        split: the part they are compared on.
        samples: at most so many of its samples, always the same ones.
        cost: between two neurons' activations.
        top: samples kept of each neuron, those that excite it most.
        image_size: side in pixels that the data's images are resized to; models then resize to their own.
        views: what each model sees, as model_a=NAME,model_b=NAME: arrays of an npz, columns of parquet files, or
            transforms of the image, as in `kantor distill`; the data's only input if left out.
        label: name of the label column or array, where it is not the usual one.
        text: name of a table's column of texts, where it is not the usual one. Each model sees them by its own
            tokenizer, an untrained one that brings none by the other's.
        task: what the labels are, as in `kantor distill`: labels (a class a sample), regression, and so on. How often
            either is right is told of classes alone.
        skip_corrupt: leave out images that cannot be decoded, and say which.
        batch_size: samples in each forward pass.
        device: auto takes a GPU if there is one.
        out: folder for compare.json and the page; runs/compare-A-B-DIGEST if left out.
    """

    model_a: str
    model_b: str
    data: str
    split: Literal["test", "validation", "train"] = "test"
    samples: int = 2000
    cost: CostKind = "correlation"
    top: int = 5
    image_size: int | None = None
    views: str | None = None
    label: str | None = None
    text: str | None = None
    task: str = "labels"
    skip_corrupt: bool = False
    batch_size: int = 256
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: str | None = None

    def check(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigError: names the setting and what it takes.
        """
        check_settings(self)
        if self.samples < 4:
            raise ConfigError(f"samples is at least 4 (what CKA needs), better hundreds, not {self.samples}.")
        for name in ("top", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1, not {getattr(self, name)}.")
        self.view_map()
        refuse_shared(self.folder(), "compare.json")

    def view_map(self) -> dict[str, str] | None:
        """What each model sees, as a mapping.

        Raises:
            ConfigError: it does not say it of both, or of others.
        """
        if self.views is None:
            return None
        views = written_views(self.views)
        if set(views) != set(COMPARED):
            raise ConfigError(f"views of two models are written model_a=NAME,model_b=NAME, not {self.views!r}.")
        return views

    def names(self) -> tuple[str, str]:
        """What the models are called."""
        a, b = teacher_names([spec_of(self.model_a), spec_of(self.model_b)])
        return a, b

    def folder(self) -> Path:
        """Where the comparison is written."""
        if self.out is not None:
            return Path(self.out)
        as_ever = {"skip_corrupt": False, "task": "labels", "text": None}
        left_out = ["out", *(name for name, value in as_ever.items() if getattr(self, name) == value)]
        content = json.dumps({k: v for k, v in dataclasses.asdict(self).items() if k not in left_out}, sort_keys=True)
        return Path("runs") / f"compare-{'-'.join(self.names())}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def compare_models(config: Compare, progress: Progress | None = None) -> Comparison:
    """Compare two models and write ``compare.json``, ``neurons.npz`` and, for images, ``samples.jpg``
    (``samples-a.jpg`` and ``samples-b.jpg`` where the models see different things).

    Args:
        config: what to compare on what.
        progress: told (done, total) images as they are decoded.

    Returns:
        What ``compare.json`` holds.

    Raises:
        KantorError: a model or the data cannot be loaded, or the model cannot see the data; names which.
    """
    config.check()
    names, folder = config.names(), config.folder()
    data = _open(config, progress)
    part = sample(data.part(config.split), config.samples)
    roles = COMPARED if any(role in part.stores for role in COMPARED) else ROLES
    for role in roles:
        if role not in part.stores:
            raise DataError(f"The {config.split} part of {data.name} lacks what {role} sees. Give another --split.")
    if len(part) < 4:
        raise ConfigError(f"{data.name} has {len(part)} {config.split} samples; a comparison needs at least 4.")
    device = chosen_device(config.device)
    start = time.perf_counter()
    sides = zip((config.model_a, config.model_b), roles, strict=True)
    a, b = (_seen(spec_of(spec), data, role, part, config, device) for spec, role in sides)
    passes, start = time.perf_counter() - start, time.perf_counter()
    pairs = [(p.student, p.teacher, p.reason) for p in pair(a.stages, b.stages)]
    found = look_at_pairs(a.layers, b.layers, [p[:2] for p in pairs], cost=config.cost, top=config.top)
    matrices = layer_matrices(a.layers, b.layers, cost=config.cost)
    content: Any = {
        "a": a.facts(names[0], config.model_a),
        "b": b.facts(names[1], config.model_b),
        "data": {"name": data.name, "part": config.split, "samples": len(part)},
        "views": data.notes.get("views"),
        "cost": config.cost,
        "cka": "linear, debiased",
        "matrices": asdict(matrices),
        "pairs": [
            pair_found.facts() | {"reason": reason} for pair_found, (_, _, reason) in zip(found, pairs, strict=True)
        ],
        "matched": found[-1].partners(),
        "predictions": _predictions(a, b, data, part),
        "vocabulary": compared_vocabularies(part, (roles[0], roles[1]), names, folder),
        "neurons": "neurons.npz",
        "samples": _thumbnails(folder, part, roles, found, data.classes),
        "seconds": {"forward passes": passes, "transport and CKA": time.perf_counter() - start},
    }
    write_neurons(folder / "neurons.npz", {names[0]: found}, part.ids)
    write_json(folder / "compare.json", content)
    return content


@dataclass(frozen=True)
class _Seen:
    """A model, and what it made of the samples."""

    model: Model
    stages: list[Layer]
    layers: dict[str, torch.Tensor]
    logits: torch.Tensor

    def facts(self, name: str, given: str) -> dict[str, Any]:
        return {
            "name": name,
            "given": given,
            "trained": has_weights(spec_of(given)),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "classes": self.model.num_classes,
            "stages": [{"path": s.path, "shape": list(s.shape), "width": s.width} for s in self.stages],
        }


def _open(config: Compare, progress: Progress | None) -> DataSet:
    return open_data(
        config.data,
        image_size=config.image_size,
        # Only a validation part is cut from all of the training samples; else most of them need not be decoded.
        train_limit=None if config.split == "validation" else max(config.samples, _ENOUGH),
        validation=0.1 if config.split == "validation" else 0,
        views=config.view_map(),
        label=config.label,
        text=config.text,
        tokenizers=lambda: _tokenizers(spec_of(config.model_a), spec_of(config.model_b)),
        kind=named(config.task).labels,
        skip_corrupt=config.skip_corrupt,
        progress=progress,
    )


def _tokenizers(model_a: str, model_b: str) -> dict[str, Tokenizer]:
    """What each model's texts become tokens by.

    Raises:
        ConfigError: neither brings a tokenizer, or trained weights lack theirs.
    """
    own = {spec: needed_tokenizer(spec) if has_weights(spec) else own_tokenizer(spec) for spec in (model_a, model_b)}
    borrowed = next((found for found in own.values() if found is not None), None)
    sides = zip(COMPARED, (model_a, model_b), strict=True)
    return {role: own[spec] or borrowed or needed_tokenizer(spec) for role, spec in sides}


def _seen(spec: str, data: DataSet, role: str, part: Part, config: Compare, device: torch.device) -> _Seen:
    shape, tokenizer = data.train.input_shapes[role], data.train.tokenizers.get(role)
    if has_weights(spec):
        model = load_trained(spec, shape, tokenizer=tokenizer, answers=data.kind)
    else:  # an untrained network is the control that tells what architecture alone does
        seeds.seed_all(0, seeds.INIT)
        model = load(spec, classes=data.classes, input_shape=shape)
    if model.needs_fit:
        model.fit_normaliser(data.train.read(np.arange(len(data.train)))[role])
    model = model.to(device)
    example = fitted(model, on_device(part.read(np.arange(1))[role], device))
    found = stages(model, example)
    paths = [s.path for s in found]
    layers = activations(model, part, paths, role=role, batch_size=config.batch_size, device=device)
    return _Seen(model, found, layers, layers.pop(LOGITS))


def _predictions(a: _Seen, b: _Seen, data: DataSet, part: Part) -> dict[str, Any] | None:
    """None where the two models' classes are not the same, by name where both have names, else by number; and where
    labels are no classes.
    """
    if not part.is_classes:
        return None
    ours, theirs = a.model.class_names, b.model.class_names
    if a.logits.shape[1] != b.logits.shape[1] or (ours and theirs and ours != theirs):
        return None
    known = ours or theirs
    same_as_data = a.logits.shape[1] == len(data.classes) and (known is None or known == data.classes)
    return asdict(compare_predictions(a.logits, b.logits, torch.from_numpy(part.targets) if same_as_data else None))


def _thumbnails(
    folder: Path, part: Part, roles: Sequence[str], found: list[PairFound], classes: list[str]
) -> dict[str, dict[str, Any]] | None:
    """What each model sees of the samples that excite a neuron of either; one sheet where both see the same."""
    rows = all_rows([top for pair_found in found for top in pair_found.tops])
    alike = part.stores[roles[0]] is part.stores[roles[1]]
    shown: dict[str, dict[str, Any]] = {}
    for side, role in zip("ab", roles, strict=True):
        file = "samples.jpg" if alike else f"samples-{side}.jpg"
        made = sheet(part, rows, role)
        if made is not None:
            write_bytes(folder / file, made.image)
            shown[side] = made.facts(part, file, classes)
    return shown or None
