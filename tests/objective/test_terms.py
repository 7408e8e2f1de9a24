"""One term for the command line, YAML, Python and a run's files."""

import json

import pytest
import torch

from kantor import losses
from kantor.core.errors import ConfigError
from kantor.objective import Objective, Term, Weight
from kantor.objective.terms import resolved_weight
from kantor.study.settings.methods import parse_methods


def networks():
    torch.manual_seed(0)
    wide, small = (
        torch.nn.Sequential(torch.nn.Linear(6, width), torch.nn.ReLU(), torch.nn.Linear(width, 3)) for width in (8, 4)
    )
    return wide, small


def test_what_a_file_keeps_of_a_bound_term_comes_back_as_it_was():
    wide, small = networks()
    batch = torch.randn(16, 6), torch.randint(3, (16,))
    given = [
        Term.named("neuron_transport", {"cost": "l1"}, weight=Weight(3.0, "cosine", 1.0, 0.1, 2.0)),
        Term.named("kd"),
    ]
    objective = Objective(small, {"t": wide}, given)
    objective.check(batch, quiet=True)
    kept = json.loads(json.dumps([bound.of(given[bound.term]).record() for bound in objective.bound]))
    again = Objective(small, {"t": wide}, [Term.parse(record) for record in kept])
    again.check(batch, quiet=True)
    for ours, theirs in zip(again.bound, objective.bound, strict=True):
        assert (ours.name, ours.student_layers, ours.teacher_layers) == (
            theirs.name,
            theirs.student_layers,
            theirs.teacher_layers,
        )
        assert (ours.weight, ours.reason, ours.teacher) == (theirs.weight, theirs.reason, theirs.teacher)
        assert ours.loss is not theirs.loss and ours.loss.settings() == theirs.loss.settings()
    assert again(batch).loss == objective(batch).loss


def test_text_yaml_and_python_mean_the_same_term():
    text = parse_methods("rkd@distance_weight=2:3")[0].terms
    yaml = parse_methods([{"name": "m", "terms": [{"loss": "rkd", "settings": {"distance_weight": 2}, "weight": 3}]}])[
        0
    ].terms
    python = [Term.named("rkd", {"distance_weight": 2}, weight=3.0)]
    records = [[term.record() for term in terms] for terms in (text, yaml, python)]
    assert records[0] == records[1] == records[2]


def test_a_fresh_term_shares_no_state():
    term = Term.named("fitnet")
    assert term.fresh().loss is not term.loss and term.fresh().record() == term.record()


def test_a_loss_that_was_given_as_an_object_cannot_be_written_down():
    with pytest.raises(ConfigError, match=r"Term\.named\('kd'"):
        Term(losses.KD()).record()


def test_a_published_weight_has_no_limit_and_a_default_one_has():
    assert resolved_weight(Term.named("kd")).limit is not None
    paper = resolved_weight(Term.named("kd", weight="paper"))
    assert paper == Weight(losses.KD.default_weight)


def test_a_weight_times_a_factor_may_also_pull_as_much_more():
    assert Weight(2.0, "linear", 1.0, 0.1, 5.0).times(0.5) == Weight(1.0, "linear", 0.5, 0.1, 2.5)
