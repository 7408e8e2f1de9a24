"""A bag of words (arXiv 1607.01759): the mean of the tokens' vectors, whatever their order."""

from jaxtyping import Float, Int64
from torch import Tensor, nn

from kantor.models.builtin.sizes import at_least, text_shape


class Bag(nn.Module):
    """Modules: ``embedding`` (tokens ``[N, T, dim]``), ``mean``, ``layers.{i}``, ``linear``.

    Args:
        num_classes: outputs.
        input_shape: ``(tokens, vocabulary)`` of one text.
        dim: numbers of a token's vector.
        hidden: neurons of each hidden layer on their mean.
        depth: hidden layers; 0 leaves a linear classifier on the mean.
    """

    def __init__(
        self, num_classes: int, input_shape: tuple[int, ...], *, dim: int = 64, hidden: int = 64, depth: int = 1
    ) -> None:
        super().__init__()
        at_least(1, "bag", dim=dim, hidden=hidden)
        at_least(0, "bag", depth=depth)
        self.embedding = nn.Embedding(text_shape("bag", input_shape)[1], dim)
        self.mean = Mean()
        widths = [dim, *[hidden] * depth]
        self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(before, hidden), nn.ReLU()) for before in widths[:-1]))
        self.linear = nn.Linear(widths[-1], num_classes)
        # Torch's own deviation of 1 drowns what is learnt of the few texts that a word is in.
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(
        self, input_ids: Int64[Tensor, "batch tokens"], attention_mask: Int64[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch classes"]:
        """The logits of texts, padding left out."""
        return self.linear(self.layers(self.mean(self.embedding(input_ids), attention_mask)))


class Mean(nn.Module):
    """The mean of the tokens that count."""

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], mask: Int64[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch dim"]:
        """Each text's mean."""
        counted = mask.unsqueeze(2).to(x.dtype)
        return (x * counted).sum(1) / counted.sum(1).clamp_min(1)
