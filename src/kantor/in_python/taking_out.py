"""A model in hand, or a run's student, taken out."""

from pathlib import Path

from kantor.models import Model
from kantor.study.afterwards.export.command import Form, How, export_model


def export(
    model: Model | str | Path,
    *,
    format: Form = "safetensors",  # noqa: A002
    output: str | Path | None = None,
    bare: bool = False,
    int8: bool = False,
    license: str | None = None,  # noqa: A002
    input_shape: tuple[int, ...] | None = None,
    quiet: bool = True,
) -> Path:
    """Write a trained model alone: ``kantor export`` from Python.

    Args:
        model: one that :func:`kantor.load` gave; or, as on the command line, RUN/METHOD/seed-K or NAME:FILE.
        format: ``safetensors``, ``torch.export``, ``onnx`` or ``hub``.
        output: the file or folder to write; of a name beside the model's own file if left out.
        bare: of a program, the network alone: without resizing and normalising.
        int8: of an ONNX program: weights in integers of 8 bits, by onnxruntime. What it reaches on the test part of its
            run is said, and is in its metadata.
        license: of a folder for the Hub: an identifier, such as ``apache-2.0``.
        input_shape: of one sample, where the model's file does not say it.
        quiet: say nothing.

    Returns:
        What was written.

    Raises:
        ConfigError: the model cannot be written in this form.
        KantorError: the file cannot be written.
    """
    given = model if isinstance(model, Model) else str(model)
    say = (lambda _: None) if quiet else print
    how = How(bare, license, int8)
    return export_model(given, format, None if output is None else Path(output), input_shape, say, how)
