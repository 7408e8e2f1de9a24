"""What is kept of teachers' outputs: whether, of which samples, and that students are shown nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kantor
from kantor.core.errors import ConfigError
from kantor.data import Augment, DataSet, Loader, open_data
from kantor.models import Model
from kantor.objective import LiveTeacher, Read
from kantor.study.resume.prepared import Prepared
from kantor.study.teachers.cached_outputs import KeptOutputs, cacheable, layers_of
from kantor.training import Pair
from small import settings

READS = {Read("layers.1", pooled=True), Read("logits")}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> DataSet:
    return open_data(settings(tmp_path_factory.mktemp("data")).data)


@pytest.fixture(scope="module")
def model(data) -> Model:
    found = kantor.load("mlp@hidden=6@normalise=none", classes=data.classes, input_shape=(4,))
    return found.eval()


def kept(folder: Path, data: DataSet, model: Model, *, pairs: bool = False, **changes: Any) -> KeptOutputs:
    """What a run in ``folder`` keeps of ``big``."""
    example = next(Loader(data.train, 8, seed=0, augment=Augment.named("none")).epoch(0))
    known = {"digest": model.weights_digest(), "layers": layers_of(LiveTeacher(model, name="big"), READS, example, 0)}
    found = [Pair("layers.1", "layers.1", "big")] if pairs else []
    plan = Prepared({"big": known}, {}, found, True, 1, {})
    return KeptOutputs(folder / "runs" / "run", settings(folder, **changes), data, plan)


def fill(outputs: KeptOutputs, model: Model) -> tuple[list[str], list[dict]]:
    said: list[str] = []
    told: list[dict] = []
    outputs.fill({"big": model}, {"big": READS}, said.append, told.append)
    return said, told


def test_students_are_shown_what_the_teacher_says(tmp_path, data, model):
    outputs = kept(tmp_path, data, model)
    fill(outputs, model)
    cache = outputs.open("big", data.shown)
    batch = next(Loader(data.train, 16, seed=3, augment=Augment.named("none")).epoch(0))
    live = LiveTeacher(model).outputs(batch, sorted(READS, key=lambda read: read.key))
    assert batch.ids is not None and batch.views is not None
    found = cache.lookup(batch.ids, batch.views)
    for read, values in live.items():
        torch.testing.assert_close(found[read.key], values)


def test_what_is_kept_is_computed_once(tmp_path, data, model):
    said, told = fill(kept(tmp_path, data, model), model)
    assert len(said) == 1 and "Caching big's outputs on 54 samples x 1 view" in said[0]
    assert str(tmp_path / "runs" / "cache") in said[0]
    assert told[-1]["doing"] == "outputs of big" and told[-1]["step"] == told[-1]["steps"] == 54
    said, told = fill(kept(tmp_path, data, model), model)
    assert told == [] and said[0].startswith("\nOutputs of big on 54 samples x 1 view found in ")


def test_other_weights_are_kept_apart(tmp_path, data, model):
    fill(kept(tmp_path, data, model), model)
    other = kantor.load("mlp@hidden=6@normalise=none", classes=data.classes, input_shape=(4,)).eval()
    said, _ = fill(kept(tmp_path, data, other), other)
    assert said[0].startswith("\nCaching big's")


def test_samples_that_plans_are_recorded_on_are_kept_too(tmp_path, data, model):
    outputs = kept(tmp_path, data, model, pairs=True)
    assert data.validation is not None
    assert set(outputs.open("big", data.validation).missing) == {read.key for read in READS}
    said, _ = fill(outputs, model)
    assert len(said) == 1, "what is said is of what students are shown"
    assert outputs.open("big", data.validation).missing == {}
    without = kept(tmp_path / "other", data, model)
    fill(without, model)
    assert without.open("big", data.validation).missing


def test_over_the_limit_is_refused_before_anything_is_computed(tmp_path, data, model):
    outputs = kept(tmp_path, data, model, cache_limit=1e-9)
    with pytest.raises(ConfigError, match="--cache-limit"):
        fill(outputs, model)
    assert not list((tmp_path / "runs").rglob("*.npy"))


@pytest.mark.parametrize(
    ("cache", "augment", "epochs", "kept"),
    [
        ("auto", "none", 1, True),
        ("auto", "mirror", 1, False),  # two views, each seen half a time
        ("auto", "mirror", 2, True),
        ("on", "mirror", 1, True),
        ("off", "none", 100, False),
        ("auto", "crop+mirror", 100, False),
    ],
)
def test_what_comes_again_is_kept(tmp_path, data, cache, augment, epochs, kept):
    assert cacheable(settings(tmp_path, cache=cache, augment=augment, epochs=epochs), data) is kept


def test_a_cache_of_what_never_comes_again_is_refused(tmp_path, data):
    with pytest.raises(ConfigError, match=r"a new image every time.*--augment mirror or none, or --cache off"):
        cacheable(settings(tmp_path, cache="on", augment="crop+mirror"), data)


def test_samples_without_labels_are_kept_beside_the_others(tmp_path, data, model):
    both = replace(data, unlabelled=replace(data.train, ids=data.train.ids[:10], rows=data.train.rows[:10],
                                            targets=np.full(10, -1)),
                   train=replace(data.train, ids=data.train.ids[10:], rows=data.train.rows[10:],
                                 targets=data.train.targets[10:]))  # fmt: skip
    said, _ = fill(kept(tmp_path, both, model), model)
    assert "54 samples x 1 view" in said[0]
