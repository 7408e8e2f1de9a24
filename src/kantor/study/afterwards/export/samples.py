"""Real samples that a program is tried on before it is written, and the rest of what a run knows of its student."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kantor.core.errors import KantorError
from kantor.core.inputs import Inputs
from kantor.core.seeds import fixed
from kantor.data import Part
from kantor.data.part import sample
from kantor.data.tokenised import TEXT
from kantor.models import Model
from kantor.models.families import is_text
from kantor.study.resume.fingerprints import settings_of
from kantor.study.resume.folder import where_started
from kantor.study.settings.resolved import ResolvedStudy
from kantor.tasks import Task

_MOST = 64


@dataclass(frozen=True)
class Samples:
    """What a program is tried on."""

    inputs: Inputs
    """As the data has them."""
    said: str
    """Whose they are, in words."""


@dataclass(frozen=True)
class Judged:
    """The part that a run's students are judged on."""

    part: Part
    task: Task


def run_of(weights: Path | None) -> Path | None:
    """The run that a student's weights lie in, ``RUN/METHOD/seed-K``; None where they lie elsewhere."""
    if weights is None or weights.name != "student.safetensors":
        return None
    run = weights.absolute().parent.parent.parent
    return run if (run / "config.yaml").is_file() else None


@contextmanager
def judged(run: Path) -> Iterator[Judged]:
    """The test part of a run's data, or what training has where there is none.

    Raises:
        KantorError: the data cannot be opened here.
    """
    with where_started(run) as (folder,):
        study = ResolvedStudy(settings_of(Path(folder)), Path(folder))
        data = study.open_data()
        yield Judged(data.test or data.train, study.label_task)


def samples_for(model: Model, run: Path | None) -> Samples:
    """Samples of the run's test part; drawn at random where there is no run, or its data cannot be opened here."""
    if run is None:
        return _drawn(model, "no run's data are known")
    try:
        with judged(run) as found:
            part = sample(found.part, _MOST)
            inputs = part.read(np.arange(len(part)))["student"]
            return Samples(inputs, f"{len(part)} samples of the {part.name} part")
    except KantorError as error:
        return _drawn(model, f"the run's data cannot be opened here: {str(error).rstrip('.')}")


def _drawn(model: Model, why: str) -> Samples:
    """Samples of the right shape, the same every time."""
    count, shape = 16, model.input_shape
    with fixed(0):
        if is_text(shape):
            ids = torch.randint(0, shape[1], (count, shape[0]))
            return Samples(dict(zip(TEXT, (ids, torch.ones_like(ids)), strict=True)), f"{count} random texts ({why})")
        x = torch.rand(count, *shape) if len(shape) == 3 else torch.randn(count, *shape)
    return Samples(x, f"{count} random samples ({why})")
