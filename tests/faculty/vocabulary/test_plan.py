"""Plans between vocabularies, and between label sets."""

import numpy as np
import pytest
import torch

from kantor.core.errors import ConfigError, DataError
from kantor.data.spelling import spelling
from kantor.faculty.vocabulary import PlanSettings, VocabularyPlan, of_predictions, of_texts, solve_vocabulary
from kantor.faculty.vocabulary.show import examples, lines, summary
from kantor.faculty.vocabulary.together import Together
from kantor.ot.sparse import Pairs
from tests.small_tokenizers import LIBRARY, byte_pairs, sentence_piece

TEXTS = ["a fine film", "a fine day and a fine film", "unbelievable films, unbelievably fine"] * 3


def goes(plan: VocabularyPlan) -> dict[tuple[int, int], float]:
    shares = plan.map()
    return dict(
        zip(zip(shares.rows.tolist(), shares.columns.tolist(), strict=True), shares.shares.tolist(), strict=True)
    )


@LIBRARY
@pytest.mark.parametrize("cost", ["both", "strings", "cooccurrence"])
def test_tokens_go_to_what_begins_in_their_place(cost) -> None:
    teacher, student = byte_pairs(TEXTS, size=340), sentence_piece(TEXTS, size=40)
    theirs, ours = spelling(teacher), spelling(student)
    plan = solve_vocabulary(theirs, ours, of_texts([TEXTS], teacher, student), PlanSettings(cost=cost))
    assert plan.facts["converged"] and plan.facts["matched"][0] > (0.5 if cost == "cooccurrence" else 0.9)
    shares = goes(plan)
    assert shares[theirs.index(b" fine"), ours.index(b" fine")] > 0.9
    marks = {i for i, token in enumerate(theirs) if token is None}
    assert not marks & {i for i, _ in shares}
    assert "found a partner" in summary(plan, ("teacher", "student"))
    assert all(" -> " in line for line in lines(examples(plan, theirs, ours)))


def test_counts_rule_where_there_are_many_and_strings_where_there_are_none() -> None:
    teacher, student = (b" ab", b" cd", b" ef"), (b" a", b" ab", b" cd", b" e")
    together = Together(Pairs(np.array([0, 1]), np.array([0, 2]), (3, 4)), np.array([1000.0, 1000.0]))
    plan = solve_vocabulary(teacher, student, together)
    shares = goes(plan)
    assert shares[0, 0] > 0.99  # though a token of the same bytes is there
    assert shares[2, 3] == pytest.approx(1, abs=0.05)  # never seen
    np.testing.assert_allclose(plan.a, np.array([1000.1, 1000.1, 0.1]) / 2000.3)


def test_without_counts_of_a_token_the_joint_is_given_back() -> None:
    """The cost is that under which transport explains what came together."""
    generator = np.random.default_rng(0)
    counts = generator.integers(1, 50, (4, 3)).astype(float)
    rows, columns = (x.astype(np.int64) for x in np.nonzero(counts))
    together = Together(Pairs(rows, columns, (4, 3)), counts.ravel())
    settings = PlanSettings(cost="cooccurrence", smoothing=0.0)
    plan = solve_vocabulary((b"a", b"b", b"c", b"d"), (b"x", b"y", b"z"), together, settings)
    np.testing.assert_allclose(plan.mass, counts.ravel() / counts.sum(), rtol=1e-3)


def test_label_sets_of_classifiers() -> None:
    torch.manual_seed(0)
    labels = torch.randint(3, (200,))
    predictions = torch.nn.functional.one_hot((labels + 1) % 3, 4).float()
    names = (b"cat", b"dog", b"automobile", b"other"), (b"auto", b"cat", b"dog")
    plan = solve_vocabulary(*names, of_predictions(predictions, labels, 3))
    shares = goes(plan)
    assert all(shares[(j + 1) % 3, j] > 0.9 for j in range(3))
    assert solve_vocabulary(*names).facts["without_partner"] == 1  # other


def test_embeddings_pair_what_strings_do_not() -> None:
    torch.manual_seed(0)
    student = torch.randn(20, 6)
    teacher = student @ torch.linalg.qr(torch.randn(6, 6))[0]
    theirs = tuple(b"t%02d" % k for k in range(20))
    ours = (*theirs[:15], *(b"x%02d" % k for k in range(5)))
    plan = solve_vocabulary(theirs, ours, embeddings=(teacher, student))
    assert goes(plan)[17, 17] > 0.5


def test_is_kept_and_read_back(tmp_path) -> None:
    teacher, student = (b" ab", b" cd", None), (b" a", b" cd")
    plan = solve_vocabulary(teacher, student, digests=("one", "two"))
    plan.save(tmp_path / "plan.npz")
    again = VocabularyPlan.load(tmp_path / "plan.npz", ("one", "two"))
    assert again.facts == plan.facts
    assert torch.equal(again.map().shares, plan.map().shares) and torch.equal(again.map().rows, plan.map().rows)
    with pytest.raises(DataError, match="between vocabularies of 3 and 2 tokens, and the student's tokenizer"):
        VocabularyPlan.load(tmp_path / "plan.npz", ("one", "other"))
    (tmp_path / "plan.npz").write_bytes(b"no")
    with pytest.raises(DataError, match="solved again"):
        VocabularyPlan.load(tmp_path / "plan.npz")


def test_twice_the_same() -> None:
    names = tuple(b"t%d" % (k * 7) for k in range(300)), tuple(b"t%d" % (k * 3) for k in range(400))
    one, two = (solve_vocabulary(*names) for _ in range(2))
    np.testing.assert_array_equal(one.mass, two.mass)


def test_refuses() -> None:
    with pytest.raises(ConfigError, match="unknown cost"):
        PlanSettings(cost="string")
    with pytest.raises(ConfigError, match="learned from text"):
        solve_vocabulary((b"a",), (b"a",), settings=PlanSettings(cost="cooccurrence"))
    with pytest.raises(DataError, match="written like"):
        solve_vocabulary((b"a",), (b"b",))
    together = Together(Pairs(np.array([0]), np.array([0]), (2, 1)), np.ones(1))
    with pytest.raises(DataError, match="has 1 tokens and the student 1, but what comes together is of 2 and 1"):
        solve_vocabulary((b"a",), (b"a",), together)
