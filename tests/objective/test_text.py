"""Inputs by name: what text needs of an objective."""

from collections import UserDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn

import kantor
from kantor import losses
from kantor.core.errors import ConfigError, DataError, ShapeError
from kantor.data import as_batch
from kantor.objective.compared import compared
from kantor.objective.outputs import outputs_of
from tests.objective.text import Reader, text

TERMS = ("neuron_transport", "kd", "rkd")


def objective(student, teacher, names=TERMS, **settings) -> kantor.Objective:
    return kantor.Objective(
        student, {"big": teacher}, [kantor.Term(losses.named(n), weight=1.0) for n in names], **settings
    )


def labels(samples: int = 16) -> torch.Tensor:
    return torch.arange(samples) % 3


def falls(bound: kantor.Objective, batch) -> bool:
    """Whether a few steps of training lower the loss."""
    optimizer = torch.optim.SGD(bound.parameters(), lr=0.02)
    values = []
    for _ in range(8):
        result = bound(batch)
        result.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        bound.after_step()
        values.append(result.loss.item())
    return values[-1] < values[0]


@pytest.mark.parametrize("student, teacher", [((8, 2), (16, 4)), ((16, 3), (8, 1))])
def test_a_mapping_trains_a_student_of_another_width_and_depth(student, teacher):
    torch.manual_seed(0)
    bound = objective(Reader(*student), Reader(*teacher))
    batch = {**text(), "labels": labels()}
    facts = bound.check(batch, quiet=True)
    assert facts.terms[1].student == [f"blocks.{student[1] - 1} [16, 10, {student[0]}]"]
    assert falls(bound, batch)


def test_every_way_to_call_it_is_one_batch():
    torch.manual_seed(0)
    bound = objective(Reader(8, 2), Reader(16, 2))
    named, y = text(), labels()
    bound.check(**named, labels=y, quiet=True)
    batch = kantor.Batch({"student": named, "teacher": named}, y)
    values = [
        bound(batch), bound((named, y)), bound(named, y), bound(named, labels=y), bound({**named, "labels": y}),
        bound(**named, labels=y), bound(UserDict({**named, "labels": y})),
    ]  # fmt: skip
    assert len({value.loss.item() for value in values}) == 1


def test_tensors_are_called_by_place_too():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    bound = kantor.Objective(network, {}, [])
    x, y = torch.rand(16, 2, 2), labels()
    assert bound(x, y).loss == bound((x, y)).loss == bound(x, targets=y).loss


Said = namedtuple("Said", "logits hidden")


@dataclass
class Output:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


WRAPS = {
    "tuple": lambda x: (x, x.sum()),
    "named tuple": lambda x: Said(x, x.sum()),
    "dataclass": Output,
    "mapping": lambda x: {"loss": x.sum(), "logits": x},
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_a_student_may_return_more_than_logits(wrap):
    torch.manual_seed(0)
    plain, teacher = Reader(8, 2), Reader(16, 2)
    wrapped = Reader(8, 2, wrap=wrap)
    wrapped.load_state_dict(plain.state_dict())
    batch = {**text(), "labels": labels()}
    values = []
    for student in (plain, wrapped):
        bound = objective(student, teacher)
        bound.check(batch, quiet=True)
        values.append(bound(batch).loss.item())
    assert values[0] == values[1]


def test_each_role_may_see_its_own_mapping():
    torch.manual_seed(0)
    bound = objective(Reader(8, 2), Reader(16, 2), ("neuron_transport",))
    batch = {"student": text(), "big": text(longest=7, seed=1), "labels": labels()}
    facts = bound.check(batch, quiet=True)
    assert facts.teachers[0].sees == "big input_ids [7], attention_mask [7]"
    assert falls(bound, batch)


def test_an_input_that_a_network_does_not_take_is_named_with_the_remedy():
    bound = objective(Reader(8, 2), Reader(16, 2))
    says = r"Reader cannot be called with .*, token_type_ids: .*It takes input_ids, attention_mask\."
    with pytest.raises(ConfigError, match=f"{says}.*give each its own"):
        bound.check({**text(), "token_type_ids": torch.zeros(16, 10), "labels": labels()})


def test_integers_and_truth_values_keep_their_type():
    seen = {}

    class Kept(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(3, 3).double()

        def forward(self, tokens, mask, pixels):
            seen.update(tokens=tokens.dtype, mask=mask.dtype, pixels=pixels.dtype)
            return self.head(pixels)

    mask = torch.ones(6, 2, dtype=torch.bool)
    kantor.Objective(Kept(), {}, [])(
        {"tokens": torch.zeros(6, 2, dtype=torch.int32), "mask": mask, "pixels": torch.rand(6, 3), "y": labels(6)}
    )
    assert seen == {"tokens": torch.int32, "mask": torch.bool, "pixels": torch.float64}


def test_networks_of_transformers_learn_from_each_other():
    pytest.importorskip("kantor.models.from_transformers")  # which does without a torchvision that is broken
    from transformers import BatchEncoding, BertConfig, BertForSequenceClassification

    def bert(width: int, layers: int) -> torch.nn.Module:
        config = BertConfig(
            vocab_size=50, hidden_size=width, num_hidden_layers=layers, num_attention_heads=2,
            intermediate_size=2 * width, max_position_embeddings=16, id2label={0: "a", 1: "b", 2: "c"},
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        return BertForSequenceClassification(config)

    torch.manual_seed(0)
    bound = objective(bert(8, 1), bert(16, 3))
    batch = BatchEncoding({**text(), "token_type_ids": torch.zeros(16, 10, dtype=torch.long), "labels": labels()})
    facts = bound.check(batch, quiet=True)
    assert [term.name for term in facts.terms] == ["task", *TERMS]
    assert falls(bound, batch)


EVERY = ("neuron_transport", "positions", "at", "nst", "fitnet", "vid", "sp", "rkd", "emd_feature", "lckt")


def terms(names=EVERY) -> list[kantor.Term]:
    """Of the last block's tokens; ``positions`` is neuron_transport over them."""
    made = {"positions": losses.NeuronTransport(spatial="positions")}
    return [
        kantor.Term(made[n] if n in made else losses.named(n), "blocks.1", "blocks.1", weight=1.0, name=n)
        for n in names
    ]


def test_padding_more_changes_no_term_and_no_gradient():
    torch.manual_seed(0)
    student, teacher = Reader(8, 2), Reader(16, 2)
    bound = kantor.Objective(student, {"big": teacher}, terms())
    facts = bound.check({**text(), "labels": labels()}, quiet=True)
    for who in ("The student", "Teacher big"):
        assert f"{who}: padding, as attention_mask says, is left out at blocks.1." in facts.notes
    found = []
    for padding in (0, 6):
        result = bound({**text(padding=padding), "labels": labels()})
        found.append((result.terms, torch.autograd.grad(result.loss, next(student.parameters()))[0]))
    for name, plain in found[0][0].items():
        torch.testing.assert_close(found[1][0][name], plain, rtol=1e-5, atol=1e-6, msg=name)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-4, atol=1e-6)


def test_a_pooled_loss_sees_the_mean_of_each_samples_own_tokens():
    torch.manual_seed(0)
    student, teacher = Reader(8, 2), Reader(16, 2)
    bound = kantor.Objective(student, {"big": teacher}, terms(("lckt",)))
    named = text()
    bound.check({**named, "labels": labels()}, quiet=True)

    def means(network: Reader) -> torch.Tensor:
        with kantor.capture.capture(network, ["blocks.1"]) as taken:
            network(**named)
        lengths = named["attention_mask"].sum(1)
        return torch.stack([x[:n].mean(0) for x, n in zip(taken["blocks.1"], lengths, strict=True)])

    expected = bound.losses["lckt"](means(student), means(teacher))
    torch.testing.assert_close(bound({**named, "labels": labels()}).terms["lckt"], expected)


@pytest.mark.parametrize("name", ["cc", "ab", "ft", "wkd_feature", "reviewkd"])
def test_a_loss_that_would_count_padding_is_refused_with_those_that_do_not(name):
    bound = kantor.Objective(Reader(8, 2), {"big": Reader(8, 2)}, terms((name,)))
    with pytest.raises(ConfigError, match=f"{name} cannot leave padding out.*at blocks.1.*neuron_transport.* at"):
        bound.check({**text(longest=9), "labels": labels()})
    assert not bound.bound, "what was refused leaves nothing behind"


def test_a_mask_of_another_length_is_said_to_be_of_no_layer():
    class Strided(Reader):
        def forward(self, input_ids, attention_mask=None):
            x = self.embedding(input_ids)[:, ::2]
            for block in self.blocks:
                x = block(x)
            return self.head(x[:, 0])

    bound = kantor.Objective(Strided(8, 2), {"big": Strided(8, 2)}, terms(("lckt",)))
    facts = bound.check({**text(), "labels": labels()}, quiet=True)
    assert any("attention_mask [16, 10] is not that of blocks.1 (5)" in note for note in facts.notes)


class Named(nn.Module):
    """A text classifier whose mask has a name of its own, true where there is padding."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.reader = Reader(width, blocks)

    def forward(self, input_ids, gap_mask):
        return self.reader(input_ids, (~gap_mask).long())


def test_a_mask_of_another_name_is_asked_for_and_then_heard():
    named = text()
    batch = {"input_ids": named["input_ids"], "gap_mask": named["attention_mask"] == 0, "labels": labels()}
    values = []
    for network, given, masks in ((Reader, {**named, "labels": labels()}, {}), (Named, batch, {"gap_mask": "padding"})):
        torch.manual_seed(0)
        student, teacher = network(8, 2), network(16, 2)
        bound = objective(student, teacher, ("at", "neuron_transport"), masks=masks)
        bound.check(given, quiet=True)
        values.append([x.item() for x in bound(given).terms.values()])
    assert values[0] == values[1]
    with pytest.raises(ConfigError, match=r"'gap_mask'.*Objective\(masks="):
        objective(Named(8, 2), Named(8, 2), ("at",)).check(batch)


def test_nested_tensors_are_refused_with_what_to_give():
    nested = torch.nested.nested_tensor([torch.rand(3), torch.rand(5)], layout=torch.jagged)
    with pytest.raises(DataError, match=r"nested tensor.*attention_mask"):
        as_batch({"input_ids": nested, "labels": labels(2)})


def test_tokens_of_two_tokenisers_are_pooled_and_not_compared_one_by_one():
    torch.manual_seed(0)
    batch = {"student": text(), "teacher": text(longest=7, seed=1), "labels": labels()}
    bound = kantor.Objective(Reader(8, 2), {"big": Reader(16, 2)}, terms(("neuron_transport", "sp")))
    bound.check(batch, quiet=True)
    assert falls(bound, batch)
    with pytest.raises(ShapeError, match=r"at compares position by position.*averages over them first"):
        kantor.Objective(Reader(8, 2), {"big": Reader(16, 2)}, terms(("at",))).check(batch)


@pytest.mark.parametrize("name", ["at", "reviewkd"])
def test_a_sequence_is_no_square_of_patches(name):
    """Sixteen tokens of text are handed over as a sequence, and not as four rows of four."""
    torch.manual_seed(0)
    ids = torch.randint(1, 50, (6, 16))

    bound = kantor.Objective(Reader(8, 2), {"big": Reader(16, 2)}, terms((name,)))
    bound.check(ids, labels(6), quiet=True)
    outputs = outputs_of(bound.networks, bound.bound, kantor.Batch({"student": ids, "teacher": ids}))
    found = compared(bound.bound[0], outputs)
    assert found.student[0].shape == (6, 16, 8) and not found.masks
    assert torch.isfinite(bound(ids, labels(6)).loss)


def test_a_sequence_does_not_meet_a_map_position_by_position():
    class Picture(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 6, 1))
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.body(x).mean((2, 3)))

    batch = kantor.Batch({"student": torch.randint(1, 50, (6, 16)), "teacher": torch.rand(6, 1, 8, 8)}, labels(6))
    for name in ("at", "reviewkd", "ft", "fitnet"):
        with pytest.raises(ShapeError, match=rf"{name} compares maps over positions.*a sequence and a map.*averages"):
            kantor.Objective(Reader(8, 2), {"big": Picture()}, [kantor.Term(losses.named(name))]).check(batch)


@pytest.mark.parametrize("name", ["wkd_logit", "ab", "fsp", "ft"])
def test_a_pretraining_goes_over_batches_of_text(name):
    torch.manual_seed(0)
    settings = {} if name == "wkd_logit" else {"epochs": 1}
    term = kantor.Term(losses.named(name, **settings))
    bound = kantor.Objective(Reader(8, 2), {"big": Reader(8, 2)}, [term])
    named = text() if name == "wkd_logit" else {"input_ids": text()["input_ids"], "attention_mask": None}
    batches = [{**named, "labels": labels()}] * 2
    bound.check(batches[0], quiet=True)
    before = {key: x.clone() for key, x in bound.state_dict().items()}
    bound.prepare(batches)
    assert any(not torch.equal(x, before[key]) for key, x in bound.state_dict().items() if x.numel())
    assert torch.isfinite(bound(batches[0]).loss)


def test_what_a_cache_holds_of_text_has_the_mask_that_comes_with_the_batch():
    """A teacher that is no network: its tokens are masked by what the batch shows its role."""
    torch.manual_seed(0)
    network = Reader(16, 2).eval()

    class Kept:
        @property
        def facts(self):
            return {"parameters": 0, "classes": 3, "mode": "kept", "source": "a file"}

        def outputs(self, batch, reads):
            return kantor.objective.LiveTeacher(network).outputs(batch, reads)

    student, batch = Reader(8, 2), {**text(), "labels": labels()}
    values = []
    for teacher in (network, Kept()):
        torch.manual_seed(1)
        bound = kantor.Objective(student, {"big": teacher}, terms(("at", "positions", "lckt")))
        bound.check(batch, quiet=True)
        values.append({name: x.item() for name, x in bound(batch).terms.items()})
    assert values[0] == values[1]


@pytest.mark.parametrize("padded", [False, True])
def test_where_tokens_are_classified_kd_compares_those_that_have_a_label(padded):
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(20, 8), nn.Linear(8, 5)

        def forward(self, input_ids, attention_mask):
            return self.head(self.embedding(input_ids))

    torch.manual_seed(0)
    student, teacher = Tagger(), Tagger()
    tokens, mask = torch.randint(0, 20, (3, 6)), torch.ones(3, 6, dtype=torch.int64)
    y = torch.full((3, 6), -100)
    y[:, 2], y[0, 0], y[1, 5] = 1, 3, 2  # the first and the last token too
    if padded:
        mask[2, 4:] = 0
    tagging = objective(student, teacher, ("kd",), task=kantor.tasks.TokenClassification())
    batch = {"input_ids": tokens, "attention_mask": mask, "labels": y}
    tagging.check(batch, quiet=True)
    s, t = (net(tokens, mask)[y != -100] for net in (student, teacher))
    torch.testing.assert_close(tagging(batch).terms["kd"], losses.kd(s, t))
