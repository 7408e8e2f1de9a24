"""Token classification: a class for every token of a text."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.tasks.classification import check_classes
from kantor.tasks.metrics import Accuracy, Metric
from kantor.tasks.metrics.accuracy import confusion_of
from kantor.tasks.task import IGNORED, Task, type_of


class TokenClassification(Task):
    """Cross-entropy of every token with a label, in nats, judged by the share of tokens that are right.

    Outputs are ``[batch, tokens, classes]``, as language models give them; labels class numbers ``[batch, tokens]``,
    -100 where a token has none (padding, the later pieces of a word).
    """

    name = "token_classification"
    labels = "maps"
    axis = -1
    ignored = IGNORED
    metrics: Sequence[Metric] = (Accuracy(-1),)

    def loss(
        self, outputs: Float[Tensor, "labelled tokens classes"], targets: Int[Tensor, "labelled tokens"]
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten().long(), ignore_index=IGNORED)

    def counted(self, targets: Int[Tensor, "labelled tokens"]) -> int:
        return int((targets >= 0).sum())

    def loss_sums(
        self, outputs: Float[Tensor, "labelled tokens classes"], targets: Int[Tensor, "labelled tokens"]
    ) -> Float64[Tensor, " loss_counted"]:
        flat = targets.flatten().long()
        loss = F.cross_entropy(outputs.flatten(0, 1), flat, ignore_index=IGNORED, reduction="sum").double()
        return torch.stack([loss, (flat >= 0).sum().double()])

    def confusion(
        self, outputs: Float[Tensor, "labelled tokens classes"], targets: Int[Tensor, "labelled tokens"]
    ) -> Int[Tensor, "classes classes"]:
        return confusion_of(outputs.argmax(-1).flatten(), targets.flatten(), outputs.shape[-1])

    def check(self, outputs: Float[Tensor, "labelled tokens classes"], targets: Int[Tensor, "labelled tokens"]) -> None:
        if outputs.ndim != 3 or targets.shape != outputs.shape[:2] or targets.is_floating_point():
            raise ShapeError(
                "Token classification takes a class number for every token of outputs [batch, tokens, classes]; the "
                f"outputs are {list(outputs.shape)}, the targets {list(targets.shape)} of {type_of(targets)}."
            )
        check_classes(targets, outputs.shape[2])
