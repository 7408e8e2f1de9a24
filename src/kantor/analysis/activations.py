"""Every layer of interest of a model, over a part of the data, in one pass."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kantor.capture import LOGITS, call, capture
from kantor.core.errors import NonFiniteError
from kantor.core.inputs import Inputs
from kantor.core.modes import as_evaluated
from kantor.data import Augment, Loader, Part
from kantor.losses.features import pool_without_padding
from kantor.models import Model
from kantor.objective.teachers import some_ids
from kantor.training.evaluate import samples_at_once


@torch.no_grad()
def activations(
    model: Model,
    part: Part,
    layers: Sequence[str],
    *,
    role: str = "student",
    batch_size: int = 256,
    device: torch.device | None = None,
) -> dict[str, Float[Tensor, "samples neurons"]]:
    """Activations of every neuron on every sample, positions averaged, and the logits; on the CPU.

    Args:
        model: with its weights; moved to the device, its mode is restored.
        part: the samples, seen in order and without augmentation. Images of another height and width than the model
            was built for are resized to it.
        layers: module paths.
        role: which of the part's inputs the model sees.
        batch_size: samples in each forward pass.
        device: where to compute; where the model is if left out.

    Raises:
        ShapeError: the model was built for other inputs, or a layer returns what cannot be read.
        NonFiniteError: see :func:`finite`.
    """
    if device is not None:
        model = model.to(device)
    found: dict[str, list[Tensor]] = {layer: [] for layer in (*layers, LOGITS)}
    loader = Loader(
        part,
        samples_at_once(part, role, batch_size),
        seed=0,
        augment=Augment.named("none"),
        shuffle=False,
        drop_last=False,
    )
    with as_evaluated(model), capture(model, list(found)) as taken:
        for batch in loader.epoch(0):
            inputs = batch.inputs[role] if device is None else batch.to(device).inputs[role]
            inputs = fitted(model, inputs)
            call(model, inputs)
            for layer, seen in found.items():
                seen.append(
                    finite(
                        pool_without_padding(taken[layer], inputs, layer).float().cpu(), model.name, layer, batch.ids
                    )
                )
    return {layer: torch.cat(seen) for layer, seen in found.items()}


def finite(
    x: Float[Tensor, "batch neurons"], model: str, layer: str, ids: Tensor | None
) -> Float[Tensor, "batch neurons"]:
    """The activations as they are.

    Raises:
        NonFiniteError: one is NaN or infinite; names model, layer and samples.
    """
    rows = ~x.isfinite().all(dim=1)
    if rows.any():
        raise NonFiniteError(
            f"{model}'s {layer} is not finite, for sample ids {some_ids(ids, rows)}: the model has diverged, or its "
            "weights are damaged."
        )
    return x


def fitted(model: Model, x: Inputs) -> Inputs:
    """Images at the height and width the model was built for (bilinear, antialiased); all else as it is."""
    size = model.input_shape[1:]
    if model.size is not None or not isinstance(x, Tensor) or x.ndim != 4 or len(size) != 2:
        return x
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", antialias=True)
