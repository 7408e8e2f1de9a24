"""A tiny vision transformer (arXiv 2010.11929), pre-norm, with a class token and learnt positions."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kantor.core.errors import ConfigError
from kantor.models.builtin.block import Block
from kantor.models.builtin.sizes import at_least


class ViT(nn.Module):
    """Modules: ``patches``, ``blocks.{i}`` (tokens ``[N, 1 + grid, dim]``, the class token first), ``norm``, ``head``.

    Args:
        num_classes: outputs.
        input_shape: ``(channels, height, width)`` of one image; fixed, since positions are learnt.
        patch: side of a patch in pixels; by default an eighth of the shorter side.
        dim: dimensions of a token.
        depth: blocks.
        heads: attention heads; they divide ``dim``.
    """

    def __init__(
        self,
        num_classes: int,
        input_shape: tuple[int, ...],
        *,
        patch: int | None = None,
        dim: int = 64,
        depth: int = 4,
        heads: int = 4,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise ConfigError(f"vit reads images, (channels, height, width); the data's samples are {input_shape}.")
        channels, height, width = input_shape
        at_least(1, "vit", patch=1 if patch is None else patch, dim=dim, depth=depth, heads=heads)
        patch = patch or max(1, min(height, width) // 8)
        if height % patch or width % patch:
            raise ConfigError(f"vit@patch={patch}: patches must divide the image's {height}x{width} pixels.")
        if dim % heads:
            raise ConfigError(f"vit@dim={dim}@heads={heads}: the heads must divide the dimensions.")
        tokens = 1 + (height // patch) * (width // patch)
        self.patches = nn.Conv2d(channels, dim, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.empty(1, tokens, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """The logits of normalised images."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        first = self.class_token.expand(tokens.shape[0], -1, -1)
        tokens = self.blocks(torch.cat([first, tokens], dim=1) + self.positions)
        return self.head(self.norm(tokens)[:, 0])
