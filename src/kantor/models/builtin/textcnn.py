"""Convolutions over a text's tokens and the largest answer of each (arXiv 1408.5882)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from kantor.models.builtin.sizes import at_least, text_shape

_SIZES = (3, 4, 5)
"""Tokens that a filter sees, as in the paper."""


class TextCNN(nn.Module):
    """Modules: ``embedding`` (tokens ``[N, T, dim]``), ``ngrams`` (a signal ``[N, 3 * width, T]``), ``largest``
    (vectors ``[N, 3 * width]``), ``linear``.

    Args:
        num_classes: outputs.
        input_shape: ``(tokens, vocabulary)`` of one text.
        dim: numbers of a token's vector.
        width: filters of each of three sizes.
        dropout: share of the vector that is hidden in training; the paper's is .5.
    """

    def __init__(
        self,
        num_classes: int,
        input_shape: tuple[int, ...],
        *,
        dim: int = 64,
        width: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        at_least(1, "textcnn", dim=dim, width=width)
        self.embedding = nn.Embedding(text_shape("textcnn", input_shape)[1], dim)
        self.ngrams = Ngrams(dim, width)
        self.largest = Largest()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(len(_SIZES) * width, num_classes)
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(
        self, input_ids: Int64[Tensor, "batch tokens"], attention_mask: Int64[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch classes"]:
        """The logits of texts, padding left out."""
        # Zeros stand for padding, as they do beyond the ends: a text's answer does not depend on its batch.
        x = self.embedding(input_ids) * attention_mask.unsqueeze(2)
        return self.linear(self.dropout(self.largest(self.ngrams(x), attention_mask)))


class Ngrams(nn.Module):
    """What filters of every size say around each token."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, width, size, padding=size // 2) for size in _SIZES)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch filters tokens"]:
        """As many tokens."""
        channels, tokens = x.mT, x.shape[1]
        # A filter of even size answers once more than there are tokens.
        return torch.cat([F.relu(convolution(channels))[..., :tokens] for convolution in self.convolutions], dim=1)


class Largest(nn.Module):
    """The largest value of each filter over the tokens that count."""

    def forward(
        self, x: Float[Tensor, "batch filters tokens"], mask: Int64[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch filters"]:
        """Each text's; filters end with a ReLU, so that nothing is below the 0 of padding."""
        return (x * mask.unsqueeze(1)).amax(2)
