import pytest
from torch import nn

import kantor
from kantor import losses, tasks
from kantor.integrations.recipe import fresh_method, objective_of, task_of
from tests.objective.networks import a_batch, network


def names(objective: kantor.Objective) -> list[str]:
    objective.check(a_batch(), quiet=True)
    return [bound.name for bound in objective.bound]


def test_a_method_is_written_as_on_the_command_line():
    objective = objective_of(network(4), network(8), "kd+neuron_transport:3")
    assert names(objective) == ["kd", "neuron_transport"]
    assert objective.task_weight == 1 and objective.weights()["neuron_transport"] == 3
    alone = objective_of(network(4), network(8), "kd")
    names(alone)
    assert alone.weights() == {"task": 0.1, "kd": 0.9}  # as the command has it


def test_the_limit_of_a_default_weight_is_the_optimisers():
    objective = objective_of(network(4), network(8), "neuron_transport")
    names(objective)
    assert objective.limits.limits == {"neuron_transport": "auto"}


def test_several_teachers_share_a_term_and_each_has_a_loss_of_its_own():
    objective = objective_of(network(4), {"one": network(8), "two": network(6)}, "neuron_transport:2")
    assert names(objective) == ["neuron_transport.one", "neuron_transport.two"]
    assert objective.weights()["neuron_transport.one"] == 1
    assert len({id(bound.loss) for bound in objective.bound}) == 2


def test_penalties_hold_the_student_where_it_is_now():
    student = network(4)
    objective = objective_of(student, {}, "l2_sp")
    objective.check(a_batch(), quiet=True)
    assert objective(a_batch()).terms["l2_sp"] == 0


def test_more_than_one_method_is_refused_and_losses_given_as_objects_are_not_made_again():
    with pytest.raises(kantor.ConfigError, match="one student, by one method"):
        objective_of(network(4), network(8), "none,kd")
    with pytest.raises(kantor.ConfigError, match="given as an object"):
        fresh_method([kantor.Term(losses.KD())])
    term = kantor.Term.named("kd")
    (again,) = fresh_method([term])
    assert again.loss is not term.loss
    assert fresh_method("kd") == "kd"


@pytest.mark.parametrize(
    ("kind", "problem", "labels", "task"),
    [
        ("ForCausalLM", None, 2, tasks.NextToken),
        ("ForMaskedLM", None, 2, tasks.TokenClassification),
        ("ForTokenClassification", None, 5, tasks.TokenClassification),
        ("ForSequenceClassification", "multi_label_classification", 5, tasks.SeveralLabels),
        ("ForSequenceClassification", "regression", 2, tasks.Regression),
        ("ForSequenceClassification", None, 1, tasks.Regression),
        ("ForImageClassification", None, 5, tasks.Classification),
        (None, None, None, tasks.Classification),
    ],
)
def test_what_a_student_learns_is_what_it_says(kind, problem, labels, task):
    class Config:
        problem_type, num_labels = problem, labels

    student = nn.Linear(2, 2)
    if kind is not None:
        student.loss_type, student.config = kind, Config()
    assert type(task_of(student)) is task


@pytest.mark.parametrize(("decodes", "task"), [(True, tasks.TokenClassification), (False, tasks.NextToken)])
def test_what_a_decoder_says_lies_at_its_labels(decodes, task):
    class Config:
        problem_type, num_labels, is_encoder_decoder = None, 2, decodes

    student = nn.Linear(2, 2)
    student.loss_type, student.config = "ForConditionalGeneration", Config()
    assert type(task_of(student)) is task


def test_older_language_models_say_nothing_of_their_loss():
    class GPT2LMHeadModel(nn.Linear):
        loss_type = None

    assert type(task_of(GPT2LMHeadModel(2, 2))) is tasks.NextToken


def test_a_method_without_a_teacher_needs_none_and_a_name_is_no_network():
    assert names(objective_of(network(4), None, "none")) == []
    with pytest.raises(kantor.ConfigError, match="'resnet8', and must be a network"):
        objective_of(network(4), "resnet8", "kd")


def test_transfer_alone():
    objective = objective_of(network(4), network(8), "neuron_transport:1", task=None)
    objective.check(a_batch(), quiet=True)
    assert list(objective(a_batch()).terms) == ["neuron_transport"]
