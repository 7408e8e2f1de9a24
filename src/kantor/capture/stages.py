"""The natural stages of a network, where features are read when the user names no layers."""

from collections import defaultdict

from jaxtyping import Float
from torch import Tensor, nn

from kantor.capture.layers import Layer, candidates
from kantor.core.errors import ConfigError

MOST = 4
"""A network of equal blocks is cut into at most so many stages."""


def stages(network: nn.Module, example: Float[Tensor, "batch ..."]) -> list[Layer]:
    """The ends of a network's stages, shallow to deep.

    A network whose resolution falls has a stage at each resolution, and its end is the module with the most inside it
    that returns there (the last of equals). A first stage with less than a third of the next least inside is a stem,
    and left out. A network of equal blocks (a ViT, an MLP) has no such places: its blocks are cut into four even
    parts, or fewer. Maps are looked for first, then tokens, then vectors; modules with nothing inside count only where
    no others do.

    Args:
        network: any module; of a ``Model`` the paths are those of its ``network``.
        example: an input batch, one sample is enough; the network runs on it once, in eval mode.

    Raises:
        ConfigError: no layer returns what can be read.
    """
    layers = candidates(network, example)
    for kind in ("map", "tokens"):
        outer = [layer for layer in layers if layer.kind == kind and layer.leaves]
        for found in (_by_resolution(outer), _even_parts(_blocks(outer))):
            if len(found) > 1:
                return found
    maps = _by_resolution([layer for layer in layers if layer.kind != "vector"])
    blocks = _even_parts(_blocks([layer for layer in layers if layer.leaves]))
    found = maps or blocks or layers[-1:]
    if not found:
        raise ConfigError("No layer of this network returns a tensor that can be read. Name module paths yourself.")
    return found


def _by_resolution(layers: list[Layer]) -> list[Layer]:
    ends: dict[tuple[int, int], Layer] = {}
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
