"""What one does with a trained student: evaluate it, take it out."""

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from kantor.core.errors import ConfigError, DataError, KantorError
from kantor.core.files import write_bytes
from kantor.core.seal import student_of
from kantor.data import DataSet, Part, open_data
from kantor.data.tokenised import TEXT
from kantor.data.views import ROLES
from kantor.faculty.roster import read_classes, spec_of
from kantor.models import Model, load, load_trained
from kantor.models.families import is_text
from kantor.models.own_tokenizer import needed_tokenizer
from kantor.models.pretrained import need_weights
from kantor.models.spec import parse
from kantor.study.resume.fingerprints import settings_of
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.settings.study import Study
from kantor.tasks import Task, made
from kantor.training import Scores
from kantor.training import evaluate as score

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Reading:
    """How data are read for a model that is evaluated; what is None is as the run has it, or the data's only one."""

    image_size: int | None = None
    """Side in pixels that images are resized to."""
    view: str | None = None
    """What the model sees, where the data has more than one input or it goes through a transform."""
    label: str | None = None
    """Name of the label column or array."""
    text: str | None = None
    """Name of the column of texts."""
    classes: str | list[str] | None = None
    """Classes to keep: a file with one a line, or A,B,C."""
    skip_corrupt: bool = False
    """Leave out images that cannot be decoded."""
    task: str = "labels"
    """What the labels are: a task's name, or labels, for a class a sample."""

    def learned(self) -> Task:
        """The task that a model is judged by."""
        return made("labels" if self.task == "none" else self.task)

    def open(self, data: str, model: str) -> DataSet:
        """The data, read so.

        Args:
            data: the data's name.
            model: what sees them; texts become tokens by its own tokenizer.

        Raises:
            KantorError: see :func:`kantor.data.open_data`.
        """
        return open_data(
            data,
            image_size=self.image_size,
            views=None if self.view is None else dict.fromkeys(ROLES, self.view),
            label=self.label,
            text=self.text,
            tokenizers=lambda: dict.fromkeys(ROLES, needed_tokenizer(model)),
            classes=None if self.classes is None else read_classes(self.classes),
            skip_corrupt=self.skip_corrupt,
            kind=self.learned().labels,
        )


AS_IS = Reading()


def evaluate_run(
    folder: Path, data: str | None, part: Split, reading: Reading = AS_IS, say: Callable[[str], None] = print
) -> Scores:
    """What the student in ``RUN/METHOD/seed-K`` reaches, by the metrics of its task.

    Args:
        folder: the student's folder.
        data: other data to evaluate it on, read as the run reads its own but for what ``reading`` says; None for the
            run's own.
        part: train, validation or test.
        reading: how the other data are read.
        say: told how classes were matched, where that is not by their names.

    Raises:
        ConfigError: there is no finished student in the folder; a reading of the run's own data.
        KantorError: see :func:`evaluate_model`.
    """
    weights = _weights(folder)
    config = settings_of(folder.parents[1])
    if any(m.folder == folder.parent.name and not m.teaches_classifier for m in ResolvedStudy(config).methods):
        raise ConfigError(
            f"{folder} was trained without labels, so its classifier says nothing. Judge its features: "
            f"kantor probe {folder.parents[1]}."
        )
    if data is None:
        if reading != AS_IS:
            raise ConfigError(
                "A run's own data are read as the run reads them: image_size, view, label, text, classes and task go "
                "with --data."
            )
        study = ResolvedStudy(config, folder.parents[1])
        return score(load(str(weights)), study.open_data().part(part), task=study.label_task)
    seen = student_views(config)
    as_the_run = Reading(
        reading.image_size or config.image_size,
        reading.view or (None if seen is None else seen["student"]),
        reading.label or config.label,
        reading.text or config.text,
        reading.classes,
        reading.skip_corrupt or config.skip_corrupt,
        config.task,
    )
    return evaluate_model(str(weights), data, part, as_the_run, say)


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
        run = weights.resolve().parent.parent.parent  # one that was taken out of its run has no settings there
        if weights.name != "student.safetensors" or not (run / "config.yaml").exists():
            continue
        seen = None
        with contextlib.suppress(KantorError):  # settings of another version, say
            seen = student_views(settings_of(run))
        if seen is not None:
            raise ConfigError(
                f"{model} was trained on the view {seen['student']}: say what both models see, as "
                "--views model_a=NAME,model_b=NAME."
            )


def evaluate_model(
    spec: str, data: str, part: Split, reading: Reading = AS_IS, say: Callable[[str], None] = print
) -> Scores:
    """What any model with its weights reaches; its classes and the data's are matched by name.

    Args:
        spec: NAME:FILE, a file that kantor wrote, or RUN/METHOD/seed-K.
        data: as for ``kantor distill --data``.
        part: train, validation or test.
        reading: how they are read.
        say: told how classes were matched, where that is not by their names.

    Raises:
        DataError: the data has a class that the model does not know.
        KantorError: the model or the data cannot be loaded.
    """
    spec = spec_of(spec)
    opened = reading.open(data, spec)
    tokenizer = opened.train.tokenizers.get("student")
    shape = opened.train.input_shapes["student"]
    model = load_trained(spec, shape, tokenizer=tokenizer, answers=opened.kind)
    task, numbered = reading.learned(), opened.part(part)
    if numbered.is_classes:
        numbered = _numbered_as(model.class_names, opened, numbered, say)
        if len(numbered) and numbered.targets.max() >= model.num_classes:
            raise DataError(
                f"{opened.name} has {len(opened.classes)} classes, and {model.name} knows {model.num_classes}."
            )
    return score(model, numbered, task=task)


def _numbered_as(known: list[str] | None, data: DataSet, part: Part, say: Callable[[str], None]) -> Part:
    """The part with its classes numbered as the model numbers them."""
    if known is None or known == data.classes:
        return part
    if set(known) != set(data.classes) and _mere_numbers(known) != _mere_numbers(data.classes):
        without, named = ("the model", data.classes) if _mere_numbers(known) else (data.name, known)
        say(f"The classes of {without} have numbers for names: class 0 is taken for {named[0]}, and so on.")
        return part
    strange = [name for name in data.classes if name not in known]
    if strange:
        raise DataError(
            f"{data.name} has classes that the model does not know: {', '.join(strange[:10])}. It knows "
            f"{', '.join(known[:10])}{', ...' if len(known) > 10 else ''}. Keep those that both have with --classes."
        )
    place = np.array([known.index(name) for name in data.classes])
    return replace(part, targets=place[part.targets])


def _mere_numbers(classes: list[str]) -> bool:
    return classes == [str(number) for number in range(len(classes))]


def export_model(
    spec: str,
    form: Literal["safetensors", "torch.export"],
    output: Path | None,
    input_shape: tuple[int, ...] | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Write a trained model alone: no teacher, no wrapper, no projector.

    Args:
        spec: RUN/METHOD/seed-K, a file that kantor wrote, or any model with its weights.
        form: ``safetensors``, the network's weights under their own keys; or ``torch.export``, a program from pixels
            in [0, 1] to logits for any batch size and one image size, that of ``input_shape``, which needs torch alone.
            What the model is, its classes among it, goes with it as its extra file ``kantor.json``, whose ``takes`` is
            the shape of a batch, null for any number; of texts those of its arguments by name.
        output: the file to write; beside the model's own file if left out.
        input_shape: of one sample, where the model's file does not say it.
        say: told what a program takes, and what was written.

    Raises:
        ConfigError: there is no trained model; or no file of its own beside which another could be written.
        KantorError: the file cannot be written.
    """
    spec = str(_weights(Path(spec))) if Path(spec).is_dir() else spec
    need_weights(spec)
    model = load(spec, input_shape=input_shape)
    output = output or _beside(spec, form)
    if form == "safetensors":
        if ":" not in spec and output.exists() and output.samefile(spec):
            # A run's student stays byte for byte as it was sealed, and what is written here may have other bytes.
            say(f"The weights alone are in {output} already.")
            return output
        model.save(output)
        say(f"Wrote {output}")
        return output
    program = exported(model)
    takes = {name: [None, None] for name in TEXT} if is_text(model.input_shape) else [None, *model.input_shape]
    facts = {"kantor.json": json.dumps(model.facts() | {"takes": takes})}
    # Through a buffer: where a disk is full torch's own writer ends the process.
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=facts)
    write_bytes(output, buffer.getvalue())
    if is_text(model.input_shape):
        say(f"The program takes {' and '.join(TEXT)} of any number of texts, of up to {model.input_shape[0]} tokens.")
    if len(model.input_shape) == 3:
        channels, height, width = model.input_shape
        say(
            f"The program takes any number of images of {channels} channel(s), {height} pixels high and {width} wide, "
            "and no other size."
        )
    say(f"Wrote {output}")
    return output


def _beside(spec: str, form: Literal["safetensors", "torch.export"]) -> Path:
    """Where a model is exported to if nobody says it: of a run's student the weights are there already."""
    own = Path(spec) if Path(spec).suffix == ".safetensors" and ":" not in spec else parse(spec).weights
    if own is not None and form == "torch.export":
        return own.with_suffix(".pt2")
    if own is not None and own.name == "student.safetensors" and ":" not in spec:
        return own
    raise ConfigError(f"{spec}: say with --output which file is to be written.")


def exported(model: Model) -> torch.export.ExportedProgram:
    """The model as a program with a free batch size; of texts, with a free number of tokens too."""
    batch = torch.export.Dim("batch", min=1)
    if not is_text(model.input_shape):
        example = torch.rand(2, *model.input_shape)
        return torch.export.export(model.eval(), (example,), dynamic_shapes=({0: batch},))
    longest = model.input_shape[0]
    ids = torch.zeros(2, longest, dtype=torch.int64)
    named: dict[str, Tensor] = dict(zip(TEXT, (ids, torch.ones_like(ids)), strict=True))
    free = {0: batch, 1: torch.export.Dim("tokens", min=1, max=longest)}
    return torch.export.export(_OfTokens(model).eval(), (), named, dynamic_shapes=dict.fromkeys(named, free))


class _OfTokens(nn.Module):
    """A model of texts with its arguments named, as a program has them."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Int64[Tensor, "batch tokens"], attention_mask: Int64[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch classes"]:
        """The logits."""
        return self.model(input_ids=input_ids, attention_mask=attention_mask)


def _weights(folder: Path) -> Path:
    path = student_of(folder)
    if not path.exists():
        near = sorted(str(p.parent) for p in folder.parent.parent.glob("*/seed-*/student.safetensors"))[:6]
        hint = f" There are: {', '.join(near)}." if near else ""
        raise ConfigError(f"{folder} holds no trained student; give RUN/METHOD/seed-K.{hint}")
    return path
