"""One forward pass per teacher and sample: its logits and features, kept on disk by sample id."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from kantor.core.errors import ConfigError, ShapeError, not_finite_in
from kantor.data import Augment, Batch, LayerSpec, Part, TeacherCache
from kantor.data.part import Progress
from kantor.models import Model
from kantor.objective import LiveTeacher, Read


@dataclass(frozen=True)
class Outputs:
    """What a teacher says of a part's samples, in the part's order."""

    logits: Float[Tensor, "samples classes"]
    features: Float[Tensor, "samples dim"] | None
    """The input of its classifier; None where the network has none to be found."""
    labels: Int[Tensor, " samples"]
    passes: int
    """Forward passes that were spent now; 0 where the outputs were kept."""

    @property
    def predictions(self) -> Float[Tensor, "samples classes"]:
        """Its probabilities, in float64."""
        return self.logits.double().softmax(-1)


def outputs_of(
    model: Model,
    part: Part,
    root: Path,
    *,
    role: str = "teacher",
    batch_size: int = 256,
    limit_gb: float = 4.0,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Outputs:
    """Run a model over a part without augmentation, or find what it said before.

    Args:
        model: with its weights.
        part: the samples.
        root: folder of the caches, shared with those of studies.
        role: which of the part's inputs it sees.
        batch_size: samples in each forward pass.
        limit_gb: largest cache.
        device: where to compute; the CPU if left out.
        progress: told (done, total) samples.

    Raises:
        ConfigError: the cache would be over its limit.
        NonFiniteError: an output is not finite.
    """
    device = device or torch.device("cpu")
    teacher = LiveTeacher(model.to(device))
    few = Batch({"teacher": part.read(np.arange(min(2, len(part))))[role]}).to(device)
    layers: dict[str, LayerSpec] = {}
    for layer in ("logits", "penultimate"):
        try:
            (found,) = teacher.outputs(few, [Read(layer)]).values()
        except (ConfigError, ShapeError):
            if layer == "logits":
                raise
            continue  # no classifier to be found: scores on features are not for this teacher
        if found.ndim == 2:
            layers[layer] = LayerSpec(tuple(found.shape[1:]))
    cache = TeacherCache.open(
        root,
        part=part,
        augment=Augment.named("none"),
        role=role,
        teacher=model.weights_digest(),
        layers=layers,
        limit_bytes=int(limit_gb * 1e9),
    )
    passes = len(part) if cache.missing else 0

    def run(batch: Batch) -> dict[str, Tensor]:
        seen = Batch({"teacher": batch.inputs[role]}).to(device)
        return {read.layer: x.cpu() for read, x in teacher.outputs(seen, [Read(k) for k in layers]).items()}

    with not_finite_in(model.spec):
        cache.fill(run, batch_size, progress)
    ids = torch.from_numpy(part.ids)
    cached = cache.lookup(ids, torch.zeros_like(ids))
    return Outputs(cached["logits"], cached.get("penultimate"), torch.from_numpy(part.targets), passes)
