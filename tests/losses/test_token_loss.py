"""What every loss on logits per token checks and is given alike."""

import pytest
import torch

from kantor.core.errors import ShapeError
from kantor.losses import LOSSES
from kantor.losses.mapped import MappedLoss
from kantor.losses.token_loss import TokenLoss
from kantor.losses.vocabulary_map import VocabularyMap

SAME = VocabularyMap(torch.arange(5), torch.arange(5), torch.ones(5), (5, 5))


def token_losses() -> list[TokenLoss]:
    kinds = [kind for kind in LOSSES.values() if issubclass(kind, TokenLoss)]
    return [kind(SAME) if issubclass(kind, MappedLoss) else kind() for kind in kinds]  # type: ignore[arg-type]


def test_every_loss_on_logits_per_token_has_this_base() -> None:
    assert {loss.name for loss in token_losses()} == {
        name for name, kind in LOSSES.items() if getattr(kind, "reads", "") == "sequence_logits"
    }


@pytest.mark.parametrize("loss", token_losses(), ids=lambda loss: loss.name)
def test_logits_of_a_whole_sample_and_other_samples_are_refused_before_and_in_a_step(loss: TokenLoss) -> None:
    tokens, one, fewer = torch.randn(3, 4, 5), torch.randn(3, 5), torch.randn(2, 4, 5)
    for student, teacher, said in ((one, one, "logits per token"), (tokens, fewer, "the same samples")):
        for call in (
            lambda s=student, t=teacher: loss.build((s.shape,), (t.shape,), 0),
            lambda s=student, t=teacher: loss(s, t),
        ):
            with pytest.raises(ShapeError, match=said) as refused:
                call()
            assert loss.name in str(refused.value)


def test_a_loss_is_given_one_layer_and_its_masks_as_a_pair() -> None:
    class Kept(TokenLoss):
        name = "kept"

        def compared(self, student, teacher, spans, targets, masks):
            assert spans is None and targets is None and masks[1] is None
            return (student - teacher)[masks[0]].sum()

    student, teacher = torch.ones(2, 3, 4), torch.zeros(2, 3, 4)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert Kept()((student,), (teacher,), student_mask=(mask,)) == 12
