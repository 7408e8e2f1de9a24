"""A model as an ONNX program, tried on samples beside the model before anybody gets it. Needs the extra ``onnx``."""

import importlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kantor.capture import call
from kantor.core.errors import ConfigError
from kantor.core.inputs import Inputs, changed, rows, samples_in
from kantor.core.optional import optional
from kantor.data.tokenised import TEXT
from kantor.models import Model
from kantor.study.afterwards.export.program import Program, program_of, seen_by
from kantor.study.afterwards.export.samples import Samples

OUTPUT = "logits"
"""What the program's only output is called."""
_AGREE = 1e-3
"""By how much logits may differ from the model's own, of the largest of them."""


def onnx_program(model: Model, samples: Samples, *, bare: bool = False) -> tuple[bytes, Program, float]:
    """An ONNX file's content, what it takes, and by how much its logits differ from the model's own on the samples.

    Its metadata hold ``classes``, their names as a JSON list, and ``kantor``, all that is known of the model.

    Args:
        model: with its weights.
        samples: what it is tried on.
        bare: the network alone: its images are resized and normalised by whoever calls it.

    Raises:
        ConfigError: the extra is not installed; the model cannot be exported; or what came out does not run, or says
            something else than the model.
    """
    _needed()
    program = program_of(model, bare=bare)
    proto = _converted(program, model.name)
    facts = model.facts() | {"takes": program.takes, "preprocessing": "outside" if bare else "inside"}
    for key, value in {"kantor": facts, "classes": model.class_names}.items():
        if value is not None:
            entry = proto.metadata_props.add()
            entry.key, entry.value = key, json.dumps(value)
    content = _serialised(proto, model.name)
    return content, program, _disagreement(content, model, samples, program, bare)


class Session:
    """An ONNX program that is run.

    Args:
        content: of the program.
        name: of its model, for messages.

    Raises:
        ConfigError: onnxruntime cannot read it.
    """

    def __init__(self, content: bytes, name: str) -> None:
        import onnxruntime

        self._name = name
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        with self._runs():
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def outputs(self, inputs: Inputs) -> Float[Tensor, "batch classes"]:
        """What it says of a batch.

        Raises:
            ConfigError: onnxruntime cannot run it.
        """
        with self._runs():
            names = [one.name for one in self._session.get_inputs()]
            given = [inputs] if isinstance(inputs, Tensor) else [inputs[key] for key in names]
            (found,) = self._session.run([OUTPUT], {key: x.numpy() for key, x in zip(names, given, strict=True)})
        return torch.from_numpy(np.asarray(found))

    @contextmanager
    def _runs(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # onnxruntime's own errors share no class
            raise ConfigError(
                f"{self._name} became an ONNX program that onnxruntime cannot run: {_short(error)}. Use --format "
                "torch.export."
            ) from error


def _needed() -> None:
    for name in ("onnx", "onnxruntime", "onnxscript"):
        with optional(f"ONNX needs {name}", "onnx"):
            importlib.import_module(name)


def _converted(program: Program, name: str) -> Any:
    """The program in ONNX's own form."""
    names = list(program.takes) if isinstance(program.takes, dict) else ["x"]
    with _silent():
        try:
            made = torch.onnx.export(
                program.exported, dynamo=True, input_names=names, output_names=[OUTPUT], verbose=False
            )
        except Exception as error:  # an operator that ONNX has not, or whatever the exporter falls over
            raise ConfigError(
                f"{name} cannot be written as ONNX: {_short(error)}. Use --format torch.export or safetensors."
            ) from error
    assert made is not None
    return made.model_proto


def _serialised(proto: Any, name: str) -> bytes:
    try:
        return proto.SerializeToString()
    except Exception as error:  # protobuf holds 2 GB at most
        raise ConfigError(
            f"{name} is too large for one ONNX file ({_short(error)}). Use --format torch.export."
        ) from error


def _disagreement(content: bytes, model: Model, samples: Samples, program: Program, bare: bool) -> float:
    """The largest difference of logits over batches of several sizes, in units of the largest logit."""
    worst, largest, session = 0.0, 0.0, Session(content, model.name)
    for batch in _batches(samples.inputs, program, bare):
        with torch.no_grad():
            expected = call(model.eval(), batch)
        found = session.outputs(seen_by(model, batch, bare=bare))
        if found.shape != expected.shape:
            raise ConfigError(
                f"{model.name} gives {list(expected.shape)}, and its ONNX program {list(found.shape)}: it was not "
                "written."
            )
        worst = max(worst, (found - expected).abs().max().item())
        largest = max(largest, expected.abs().max().item())
    share = worst / (largest or 1.0)
    if not share <= _AGREE:  # NaN too
        raise ConfigError(
            f"{model.name} and its ONNX program differ by {share:.2g} of the largest logit on {samples.said}, and "
            f"{_AGREE:g} is borne: it was not written. Use --format torch.export."
        )
    return share


def _batches(inputs: Inputs, program: Program, bare: bool) -> Iterator[Inputs]:
    """All samples, one alone, and where any size will do some of another size; of texts shorter ones too."""
    if not isinstance(inputs, Tensor):
        inputs = {name: inputs[name] for name in TEXT}
    yield inputs
    yield rows(inputs, slice(1))
    few = rows(inputs, slice(min(3, samples_in(inputs))))
    if isinstance(few, Tensor):
        if program.any_size and not bare:
            yield torch.nn.functional.interpolate(few, scale_factor=(1.5, 2.0), mode="bilinear")
        return
    yield changed(few, lambda x: x[:, : max(1, x.shape[1] // 2)])


@contextmanager
def _silent() -> Iterator[None]:
    """Without what the exporter says of its own passes."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _short(error: Exception) -> str:
    return " ".join(str(error.__cause__ or error).split())[:300].rstrip(".")
