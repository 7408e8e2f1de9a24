"""The command that takes a trained model out."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from kantor.core.errors import ConfigError
from kantor.core.files import write_bytes
from kantor.models import Model, load
from kantor.models.pretrained import need_weights
from kantor.models.spec import parse
from kantor.study.afterwards.export.card import Origin
from kantor.study.afterwards.export.hub import hub_folder
from kantor.study.afterwards.export.int8 import in_int8
from kantor.study.afterwards.export.onnx_file import onnx_program
from kantor.study.afterwards.export.program import program_of
from kantor.study.afterwards.export.samples import run_of, samples_for
from kantor.study.afterwards.trained import trained_student

Form = Literal["safetensors", "torch.export", "onnx", "hub"]
_SUFFIX = {"torch.export": ".pt2", "onnx": ".onnx"}
_HUB = "hub"


@dataclass(frozen=True)
class How:
    """What may be said of a format."""

    bare: bool = False
    """Of a program: the network alone, without resizing and normalising."""
    licence: str | None = None
    """Of a folder for the Hub: by its identifier, such as ``apache-2.0``."""
    int8: bool = False
    """Of an ONNX program: in integers of 8 bits."""

    def check(self, form: Form) -> None:
        """Refuse what another format takes.

        Raises:
            ConfigError: names it.
        """
        for name, given, forms in (
            ("bare", self.bare, ("torch.export", "onnx")),
            ("license", self.licence is not None, ("hub",)),
            ("int8", self.int8, ("onnx",)),
        ):
            if given and form not in forms:
                allowed = " and ".join(forms)
                raise ConfigError(f"{name} is for --format {allowed}, and the format is {form}: leave it out.")


def export_model(
    given: str | Model,
    form: Form,
    output: Path | None,
    input_shape: tuple[int, ...] | None = None,
    say: Callable[[str], None] = print,
    how: How | None = None,
) -> Path:
    """Write a trained model alone: no teacher, no wrapper, no projector.

    Args:
        given: RUN/METHOD/seed-K, a file that kantor wrote, or any model with its weights; or one in hand.
        form: ``safetensors``, the network's weights under their own keys. ``torch.export``, a program from pixels in
            [0, 1] to logits for any batch size, which needs torch alone; of images it takes one size, that of
            ``input_shape``, or any where the model resizes them. What the model is, its classes among it, goes with it
            as its extra file ``kantor.json``, whose ``takes`` is the shape of a batch, null for any number; of texts
            those of its arguments by name. ``onnx``, the same for any runtime of ONNX, tried by onnxruntime on samples
            of the run before it is written. ``hub``, a folder with a model card.
        output: the file or folder to write; beside the model's own file if left out.
        input_shape: of one sample, where the model's file does not say it.
        say: told what a program takes, and what was written.
        how: what may be said of a format.

    Raises:
        ConfigError: there is no trained model, it cannot be written in this form, or no file of its own is there beside
            which another could be written.
        KantorError: the file cannot be written.
    """
    how = how or How()
    if form not in get_args(Form):
        raise ConfigError(f"There is no format {form!r}: it is {', '.join(get_args(Form))}.")
    how.check(form)
    model, own, alone = (given, None, False) if isinstance(given, Model) else _opened(given, input_shape)
    if output is None:
        output = _beside(model.name if isinstance(given, Model) else given, own, form, alone)
        output = output.with_suffix(".int8.onnx") if how.int8 else output
    run = run_of(own)
    if form == "safetensors":
        return _weights(model, own if alone else None, output, say)
    if form == "hub":
        origin = None if run is None or own is None else Origin.of(run, own.absolute().parent)
        library = hub_folder(model, output, origin, how.licence)
        say(f"Wrote {output}, which {library} loads; its README.md is the model card.")
        if how.licence is None:
            say("The card says that the licence is unknown: give --license before you share it.")
        return output
    if form == "onnx":
        samples = samples_for(model, run)
        content, program, share = onnx_program(model, samples, bare=how.bare)
        say(f"onnxruntime gives the model's own logits, to {share:.1g} of the largest, on {samples.said}.")
        if how.int8:
            quantised = in_int8(content, model, samples, run, bare=how.bare)
            content = quantised.content
            say(quantised.said)
    else:
        program = program_of(model, bare=how.bare)
        facts = {"kantor.json": json.dumps(model.facts() | {"takes": program.takes})}
        # Through a buffer: where a disk is full torch's own writer ends the process.
        buffer = io.BytesIO()
        torch.export.save(program.exported, buffer, extra_files=facts)
        content = buffer.getvalue()
    write_bytes(output, content)
    if said := program.said(model.input_shape[0]):
        say(said)
    say(f"Wrote {output}")
    return output


def _opened(spec: str, input_shape: tuple[int, ...] | None) -> tuple[Model, Path | None, bool]:
    """A model, the file of its weights, and whether its name is that file alone."""
    spec = str(trained_student(Path(spec))) if Path(spec).is_dir() else spec
    need_weights(spec)
    alone = Path(spec).suffix == ".safetensors" and ":" not in spec
    return load(spec, input_shape=input_shape), Path(spec) if alone else parse(spec).weights, alone


def _weights(model: Model, own: Path | None, output: Path, say: Callable[[str], None]) -> Path:
    if own is not None and output.exists() and output.samefile(own):
        # A run's student stays byte for byte as it was sealed, and what is written here may have other bytes.
        say(f"The weights alone are in {output} already.")
        return output
    model.save(output)
    say(f"Wrote {output}")
    return output


def _beside(name: str, own: Path | None, form: Form, alone: bool) -> Path:
    """Where a model is exported to if nobody says it: of a run's student the weights are there already."""
    if own is not None and form != "safetensors":
        return own.with_name(_HUB) if form == "hub" else own.with_suffix(_SUFFIX[form])
    if own is not None and own.name == "student.safetensors" and alone:
        return own
    raise ConfigError(f"{name}: say with output (--output) what is to be written.")
