"""A small language model: a causal transformer, pre-norm, with learnt positions (as GPT-2)."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from kantor.core.errors import ConfigError, ShapeError
from kantor.models.builtin.block import Block
from kantor.models.builtin.sizes import at_least, text_shape


class GPT(nn.Module):
    """Modules: ``embedding`` and ``blocks.{i}`` (tokens ``[N, T, dim]``), ``norm``, ``head``, which shares the
    embedding's weights.

    Args:
        num_classes: outputs at every token: as many as there are tokens.
        input_shape: ``(tokens, vocabulary)`` of one text; no longer one can be read, since positions are learnt.
        dim: numbers of a token.
        depth: blocks.
        heads: attention heads; they divide ``dim``.
    """

    def __init__(
        self, num_classes: int, input_shape: tuple[int, ...], *, dim: int = 128, depth: int = 4, heads: int = 4
    ) -> None:
        super().__init__()
        tokens, vocabulary = text_shape("gpt", input_shape)
        at_least(1, "gpt", dim=dim, depth=depth, heads=heads)
        if dim % heads:
            raise ConfigError(f"gpt@dim={dim}@heads={heads}: the heads must divide the dimensions.")
        if num_classes != vocabulary:
            raise ConfigError(
                f"gpt says which of {vocabulary:,} tokens comes next, and {num_classes} classes are asked for. It "
                "learns --task next_token; bag and textcnn are classifiers."
            )
        self.embedding = nn.Embedding(vocabulary, dim)
        self.positions = nn.Parameter(torch.empty(1, tokens, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads, causal=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.positions, std=0.02)
        self.head.weight = self.embedding.weight

    def forward(
        self,
        input_ids: Int64[Tensor, "batch tokens"],
        attention_mask: Int64[Tensor, "batch tokens"] | None = None,  # noqa: ARG002
    ) -> Float[Tensor, "batch tokens vocabulary"]:
        """The logits of the token after each. Padding stands at the end, where no token before it looks.

        Raises:
            ShapeError: there are more tokens than positions.
        """
        if input_ids.shape[1] > self.positions.shape[1]:
            raise ShapeError(
                f"gpt was made for {self.positions.shape[1]} tokens, and sees {input_ids.shape[1]}. Cut the text into "
                "pieces of as many, or make it with a larger input_shape."
            )
        x = self.embedding(input_ids) + self.positions[:, : input_ids.shape[1]]
        return self.head(self.norm(self.blocks(x)))
