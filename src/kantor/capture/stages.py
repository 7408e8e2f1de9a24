"""The natural stages of a network, where features are read when the user names no layers."""

import math
from collections import defaultdict

from torch import nn

from kantor.capture.layers import Layer, candidates
from kantor.core.errors import ConfigError
from kantor.core.inputs import Inputs

MOST = 4
"""A network of equal blocks is cut into at most so many stages."""


def stages(network: nn.Module, example: Inputs) -> list[Layer]:
    """The ends of a network's stages, shallow to deep. The classifier and what follows it are none.

    A network whose resolution falls has a stage at each resolution, and its end is the module with the most inside it
    that returns there (the last of equals). A first stage with less than a third of the next least inside is a stem,
    and left out. A network of equal blocks (a ViT, an MLP) has no such places: its blocks are cut into four even
    parts, or fewer. Maps are looked for first, then tokens, then vectors; where maps are only a stem, which ends before
    half of the network has run, the tokens behind it are taken.

    A plain network, whose layers stand in no blocks, has its stages where activations enter the next layer: the last
    map of each resolution, then hidden vectors, cut into even parts. Where a function made them (``torch.relu`` in
    ``forward``), their path is ``NEXT.input``. Where none is told apart so, the last hidden layer is the only stage.

    Args:
        network: any module; of a ``Model`` the paths are those of its ``network``.
        example: an input batch, one sample is enough; the network runs on it once, in eval mode.

    Raises:
        ConfigError: no hidden layer can be read; says which layers there are.
    """
    every = candidates(network, example)
    layers = _hidden(every)
    outer = _outer([layer for layer in layers if layer.kind != "vector" and layer.leaves])
    maps, tokens = (_several([layer for layer in outer if layer.kind == kind]) for kind in ("map", "tokens"))
    if maps and not (tokens and maps[-1].depth < 0.5 < tokens[-1].depth):
        return maps
    if tokens:
        return tokens
    found = _by_resolution(_plain_maps(layers)) or _even_parts(_blocks([layer for layer in layers if layer.leaves]))
    if not found or found[-1].kind != "vector":
        found = [*found, *_even_parts(_plain_vectors(layers, found))]
    found = found or [layer for layer in layers if not layer.masked][-1:]
    if not found:
        known = ", ".join(layer.path for layer in every[:8]) or "none that can be read"
        raise ConfigError(
            "No layer of this network lies between its input and its classifier, so a loss on features has nothing to "
            f"compare. Its layers: {known}. Name one that you mean, or use a loss on predictions such as kd."
        )
    return found


def _several(layers: list[Layer]) -> list[Layer]:
    """Stages by resolution, or even parts of equal blocks; none where that tells no two apart."""
    return next((found for found in (_by_resolution(layers), _even_parts(_blocks(layers))) if len(found) > 1), [])


def _outer(layers: list[Layer]) -> list[Layer]:
    """Without what blocks hold in another form than they return: tokens and channels in each other's place (a Mixer),
    the windows of a map side by side, and the heads of attention, which look like the channels of a map."""
    tokens = {layer.shape for layer in layers if layer.kind == "tokens"}

    def turned(layer: Layer, block: Layer) -> bool:
        if not layer.path.startswith(f"{block.path}.") or layer.kind != block.kind:
            return False
        if layer.kind == "tokens":
            return block.shape == layer.shape[::-1] != layer.shape
        return layer.shape[-1] == block.width and math.prod(layer.shape[:-1]) == block.cells  # [windows, cells, width]

    def heads(layer: Layer) -> bool:
        return len(layer.shape) == 3 and (layer.shape[1], layer.shape[0] * layer.shape[2]) in tokens

    return [layer for layer in layers if not heads(layer) and not any(turned(layer, block) for block in layers)]


def _hidden(layers: list[Layer]) -> list[Layer]:
    """The layers between the data and the classifier: the leaf that makes the logits, of several heads' the one whose
    answer is taken; where that cannot be told, the last leaf with weights to run."""
    weighted = [place for place, layer in enumerate(layers) if layer.weighted]
    end = weighted[-1] if weighted else len(layers) - 1
    end = next((place for place, layer in enumerate(layers) if layer.classifier), end)
    return [layer for layer in layers[:end] if not (weighted and layer.data)]


def _plain_maps(layers: list[Layer]) -> list[Layer]:
    """Maps and token sequences, without those that a module or function still turns into the activation."""
    return [
        layer
        for layer in layers
        if layer.kind != "vector" and not layer.masked and (layer.leaves or layer.feeds or not layer.parameters)
    ]


def _plain_vectors(layers: list[Layer], maps: list[Layer]) -> list[Layer]:
    """Hidden vectors after the last map that a weighted leaf is given, without one that only sums the map up."""
    after = maps[-1].depth if maps else 0.0
    return [
        layer
        for layer in layers
        if layer.kind == "vector" and layer.feeds and not layer.summary and layer.depth >= after
    ]


def _by_resolution(layers: list[Layer]) -> list[Layer]:
    ends: dict[tuple[int, ...], Layer] = {}
    for layer in layers:
        if layer.grid not in ends or layer.leaves >= ends[layer.grid].leaves:
            ends[layer.grid] = layer
    # What leaves a single cell is a pooling, unless it learns: then it may be the last stage of a small image.
    several = [layer for layer in ends.values() if layer.parameters or layer.cells > 1]
    found: list[Layer] = []
    for layer in sorted(several, key=lambda layer: layer.depth):
        if not found or layer.cells < found[-1].cells:
            found.append(layer)
    has_stem = len(found) > 2 and 3 * found[0].leaves < min(layer.leaves for layer in found[1:])
    return found[1:] if has_stem else found


def _blocks(layers: list[Layer]) -> list[Layer]:
    """The largest set of several siblings of one make."""
    siblings: dict[tuple[str, int], list[Layer]] = defaultdict(list)
    for layer in layers:
        siblings[layer.path.rpartition(".")[0], layer.leaves].append(layer)
    several = [group for group in siblings.values() if len(group) > 1]
    return max(several, key=lambda group: sum(layer.leaves for layer in group), default=[])


def _even_parts(blocks: list[Layer]) -> list[Layer]:
    parts = min(MOST, len(blocks))
    return [blocks[round((part + 1) * len(blocks) / parts) - 1] for part in range(parts)]
