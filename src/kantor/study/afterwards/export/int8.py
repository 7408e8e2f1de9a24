"""An ONNX program in integers of 8 bits, with what it reaches beside the program that it was made of."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn

from kantor.core.errors import ConfigError, KantorError
from kantor.core.inputs import Inputs
from kantor.models import Model
from kantor.study.afterwards.export.onnx_file import Session
from kantor.study.afterwards.export.program import seen_by
from kantor.study.afterwards.export.samples import Samples, judged
from kantor.training.evaluate import evaluate


@dataclass(frozen=True)
class Quantised:
    """A program in 8 bits."""

    content: bytes
    said: str
    """How good it is and how large, beside the program that it was made of, in a sentence."""


def in_int8(content: bytes, model: Model, samples: Samples, run: Path | None, *, bare: bool) -> Quantised:
    """A program whose weights are kept in 8 bits, and which scales activations as it sees them (onnxruntime's dynamic
    quantisation).

    It is judged on the run's whole test part by the task's metric; where there is none, by the logits of the samples.
    Its metadata hold what was found, as ``int8`` in ``kantor``.

    Args:
        content: the program in float32.
        model: that it is of.
        samples: what it was tried on.
        run: the run that the model is of, if it is of one.
        bare: the network alone is in the program.

    Raises:
        ConfigError: onnxruntime cannot quantise the program, or not run what came out.
    """
    import onnx

    proto = _quantised(content, model.name)
    small = proto.SerializeToString()
    before, after = (_Runs(one, model, bare) for one in (content, small))
    found = _reached(before, after, run) or _differs(before, after, samples)
    kept = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    kept["kantor"] = json.dumps(json.loads(kept["kantor"]) | {"int8": found})
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, kept)
    whole = proto.SerializeToString()
    return Quantised(whole, f"In int8: {found['said']}; {len(whole) / len(content):.2g} of the size.")


def _quantised(content: bytes, name: str) -> Any:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    level = logging.getLogger().level
    with TemporaryDirectory() as folder:
        paths = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        paths[0].write_bytes(content)
        logging.getLogger().setLevel(logging.ERROR)  # it proposes passes of its own, that change nothing here
        try:
            # Of convolutions onnxruntime has the unsigned kind alone.
            quantize_dynamic(paths[0], paths[1], weight_type=QuantType.QUInt8)
            return onnx.load(paths[1])
        except Exception as error:  # whatever it falls over
            said = " ".join(str(error).split())[:300].rstrip(".")
            raise ConfigError(f"{name} cannot be quantised by onnxruntime: {said}. Leave int8 out.") from error
        finally:
            logging.getLogger().setLevel(level)


class _Runs(nn.Module):
    """A program in the place of a model."""

    def __init__(self, content: bytes, model: Model, bare: bool) -> None:
        super().__init__()
        self.session, self.bare = Session(content, model.name), bare
        self._model = [model]  # no part of it

    def forward(self, *given: Tensor, **named: Tensor) -> Tensor:
        (model,) = self._model
        inputs: Inputs = given[0] if given else named
        return self.session.outputs(seen_by(model, inputs, bare=self.bare))


def _reached(before: nn.Module, after: nn.Module, run: Path | None) -> dict[str, Any] | None:
    """What both reach on the run's test part; None where there is none, or no label."""
    if run is None:
        return None
    try:
        with judged(run) as found:
            if not found.part.labelled:
                return None
            old, new = (evaluate(one, found.part, task=found.task).value for one in (before, after))
            scale, name = found.task.scale, found.part.name
    except ConfigError:
        raise
    except KantorError:  # the data are not here
        return None
    said = f"{scale.name} {scale.text(new)} on the {name} part, {scale.text(old)} in float32"
    return {"metric": scale.name, "value": new, "float32": old, "said": said}


def _differs(before: nn.Module, after: nn.Module, samples: Samples) -> dict[str, Any]:
    old, new = (one(samples.inputs) for one in (before, after))
    share = float((new - old).abs().max() / old.abs().max().clamp(min=1e-12))
    return {"differs": share, "said": f"logits differ by up to {share:.2g} of the largest, on {samples.said}"}
