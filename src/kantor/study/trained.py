"""What one does with a trained student: evaluate it, take it out."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from kantor.core.errors import ConfigError, KantorError
from kantor.core.files import write_with
from kantor.data import open_data
from kantor.data.views import ROLES
from kantor.faculty.roster import spec_of
from kantor.models import Model, load
from kantor.study.config import Study
from kantor.study.teachers import open_study_data, study_methods
from kantor.training import Scores
from kantor.training import evaluate as score

Part = Literal["train", "validation", "test"]


def evaluate_run(folder: Path, data: str | None, part: str) -> Scores:
    """Accuracy of the student in ``RUN/METHOD/seed-K``.

    Args:
        folder: the student's folder.
        data: other data to evaluate it on; None for the run's own.
        part: train, validation or test.

    Raises:
        ConfigError: there is no finished student in the folder.
    """
    weights = _weights(folder)
    config = Study.from_yaml(folder.parents[1] / "config.yaml")
    if any(m.folder == folder.parent.name and not m.teaches_classifier for m in study_methods(config)):
        raise ConfigError(
            f"{folder} was trained without labels, so its classifier says nothing. Judge its features: "
            f"kantor probe {folder.parents[1]}."
        )
    if data is not None:
        return evaluate_model(str(weights), data, part, config.image_size, student_views(config))
    opened = open_study_data(config)
    return score(load(str(weights)), opened.part(part))


def student_views(config: Study) -> dict[str, str] | None:
    """What a run's student sees, for data that need not have what its teacher saw."""
    views = config.view_map()
    return views and dict.fromkeys(ROLES, views["student"])


def check_views(models: Sequence[str], views: str | None) -> None:
    """Refuse to compare students that learnt from a view of their data without a word on what they are to see.

    Args:
        models: names of models, or trained students: RUN/METHOD/seed-K, or the file in it.
        views: what each is to see, where that is said.

    Raises:
        ConfigError: a student was trained on a view, and nothing says what it is to see.
    """
    for model in models if views is None else ():
        weights = Path(spec_of(model).rpartition(":")[2])
        config = weights.resolve().parent.parent.parent / "config.yaml"  # one that was taken out of its run has none
        if weights.name != "student.safetensors" or not config.exists():
            continue
        seen = None
        with contextlib.suppress(KantorError):  # settings of another version, say
            seen = student_views(Study.from_yaml(config))
        if seen is not None:
            raise ConfigError(
                f"{model} was trained on the view {seen['student']}: say what both models see, as "
                "--views model_a=NAME,model_b=NAME."
            )


def evaluate_model(
    spec: str, data: str, part: str, image_size: int | None = None, views: dict[str, str] | None = None
) -> Scores:
    """Accuracy of any model with its weights.

    Args:
        spec: NAME:FILE.
        data: as for ``kantor distill --data``.
        part: train, validation or test.
        image_size: side in pixels that images are resized to.
        views: what each role sees, where the data has more than one input or it goes through a transform.

    Raises:
        KantorError: the model or the data cannot be loaded.
    """
    opened = open_data(data, image_size=image_size, views=views)
    return score(load(spec), opened.part(part))


def export_student(folder: Path, form: Literal["safetensors", "torch.export"], output: Path | None) -> Path:
    """Write the student in ``RUN/METHOD/seed-K`` alone: no teacher, no wrapper, no projector.

    Args:
        folder: the student's folder.
        form: ``safetensors``, the network's weights under their own keys; or ``torch.export``, a program from pixels
            in [0, 1] to logits for any batch size, which needs torch alone.
        output: the file to write.

    Raises:
        ConfigError: there is no finished student in the folder.
        KantorError: the file cannot be written.
    """
    model = load(str(_weights(folder)))
    output = output or folder / ("student.pt2" if form == "torch.export" else "student.safetensors")
    if form == "safetensors":
        model.save(output)
        return output
    program = exported(model)
    write_with(output, lambda file: torch.export.save(program, file))
    return output


def exported(model: Model) -> torch.export.ExportedProgram:
    """The model as a program with a free batch size."""
    example = torch.rand(2, *model.input_shape)
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(model.eval(), (example,), dynamic_shapes=({0: batch},))


def _weights(folder: Path) -> Path:
    path = folder / "student.safetensors"
    if not path.exists():
        near = sorted(str(p.parent) for p in folder.parent.parent.glob("*/seed-*/student.safetensors"))[:6]
        hint = f" There are: {', '.join(near)}." if near else ""
        raise ConfigError(f"{folder} holds no trained student; give RUN/METHOD/seed-K.{hint}")
    return path
