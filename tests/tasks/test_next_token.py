import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kantor.core.errors import ShapeError
from kantor.data import Batch
from kantor.objective import Objective
from kantor.tasks import NextToken, check_task


def test_an_output_is_compared_with_the_token_after_it():
    tokens = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])
    sure = 20.0 * F.one_hot(tokens.roll(-1, 1), 4)
    assert NextToken()(sure, tokens) < 1e-6
    assert NextToken()(20.0 * F.one_hot(tokens, 4), tokens) > 10  # each says its own


def test_tokens_that_are_not_to_be_predicted():
    outputs, tokens = torch.randn(1, 4, 5), torch.tensor([[1, -100, 3, -100]])
    torch.testing.assert_close(NextToken()(outputs, tokens), F.cross_entropy(outputs[:, 1], tokens[:, 2]))
    assert NextToken().loss_sums(outputs, tokens)[1] == 1


def test_refusals():
    with pytest.raises(ShapeError, match="two tokens"):
        check_task(NextToken(), torch.zeros(2, 1, 5), torch.zeros(2, 1, dtype=torch.long))
    with pytest.raises(ShapeError, match="class 7"):
        check_task(NextToken(), torch.zeros(2, 3, 5), torch.full((2, 3), 7))


def test_an_objective_learns_it():
    torch.manual_seed(0)

    class Bigram(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.table(x)

    objective = Objective(Bigram(), {}, [], task=NextToken())
    tokens = (torch.arange(12)[None] + torch.arange(4)[:, None]) % 6
    batch = Batch({"student": tokens, "teacher": tokens}, tokens)
    objective.check(batch, quiet=True)
    optimizer = torch.optim.SGD(objective.parameters(), lr=5.0)
    for _ in range(50):
        objective(batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    task = objective.task
    assert isinstance(task, NextToken)
    assert task.values(task.measured(objective.student(tokens), tokens))["perplexity"] < 1.2


def test_of_text_it_is_judged_by_bits_per_byte_of_the_part(tmp_path):
    pytest.importorskip("tokenizers", reason="needs the extra text")
    from kantor.data import open_data
    from kantor.data.tokenizer import Learned
    from kantor.training import evaluate
    from tests.study.texts import running_text

    (tmp_path / "train.txt").write_text(running_text(800, 0), encoding="utf-8")
    (tmp_path / "test.txt").write_text(running_text(300, 1), encoding="utf-8")
    of = Learned(300, 24)
    data = open_data(str(tmp_path), tokenizers={"student": of, "teacher": of}, kind="next")
    task, vocabulary = NextToken().for_texts(), len(data.classes)

    class Undecided(nn.Module):
        def forward(self, input_ids, attention_mask):
            return torch.zeros(*input_ids.shape, vocabulary)

    assert task.scale.name == "bits per byte"
    scores = evaluate(Undecided(), data.test, task=task, batch_size=7)
    tokens = int(sum(data.test.stores["student"].starts[-1:]) - len(data.test))
    expected = tokens * math.log2(vocabulary) / (tmp_path / "test.txt").stat().st_size
    assert scores.value == pytest.approx(expected, rel=1e-3)
    assert scores.metrics["perplexity"] == pytest.approx(vocabulary)
    assert NextToken().scale.name == "perplexity"  # of tokens that stand for nothing known
