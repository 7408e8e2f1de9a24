"""Text for the tests of objectives: samples of several lengths, and networks that take them by name."""

import torch
from torch import Tensor, nn


def text(samples: int = 16, longest: int = 10, *, padding: int = 0, seed: int = 0) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask`` of samples of 3 tokens or more.

    Args:
        samples: how many.
        longest: tokens of the longest.
        padding: columns of padding beyond it.
        seed: of the tokens; padding more changes none.
    """
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 50, (samples, longest), generator=generator)
    lengths = 3 + torch.arange(samples) % (longest - 2)
    mask = (torch.arange(longest) < lengths[:, None]).long()
    return {
        name: torch.nn.functional.pad(x, (0, padding))
        for name, x in (("input_ids", ids * mask), ("attention_mask", mask))
    }


class Reader(nn.Module):
    """A text classifier of transformer blocks, which answers from the first token; ``wrap`` makes what it returns."""

    def __init__(self, width: int, blocks: int, classes: int = 3, wrap=lambda logits: logits) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True) for _ in range(blocks)
        )
        self.head = nn.Linear(width, classes)
        self.wrap = wrap

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None):
        padding = None if attention_mask is None else attention_mask == 0
        x = self.embedding(input_ids)
        for block in self.blocks:
            x = block(x, src_key_padding_mask=padding)
        return self.wrap(self.head(x[:, 0]))
