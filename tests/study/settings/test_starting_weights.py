"""Where a student starts: what is taken, what is new, what is refused."""

import pytest
import torch

import kantor
from kantor.core.errors import ConfigError, DataError
from kantor.study import Study
from kantor.study.settings.methods import parse_methods
from kantor.study.settings.starting_weights import Start, start_of, with_student

IMAGE = (1, 8, 8)


def model(*classes: str, spec: str = "cnn@width=8") -> kantor.models.Model:
    return kantor.load(spec, classes=list(classes), input_shape=IMAGE)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "seed-3" / "student.safetensors"
    path.parent.mkdir()
    model("a", "b", "c").save(path)
    return path


def test_the_classifier_is_new_where_the_classes_are_others_even_as_many(source):
    student, theirs = model("x", "y", "z"), kantor.load(str(source)).network.state_dict()
    head = student.network.linear.weight.clone()
    given = Start(str(source)).give(student, seed=0)
    own = student.network.state_dict()
    assert given.new == {"linear.weight": [3, 8], "linear.bias": [3]}
    assert torch.equal(own["linear.weight"], head)
    assert set(given.weights) == set(own) - set(given.new)
    assert all(torch.equal(own[key], theirs[key]) for key in given.weights)
    assert "new: linear.weight [3, 8], linear.bias [3]" in str(given)
    other = model("x", "y")
    assert set(Start(str(source)).give(other, seed=0).new) == {"linear.weight", "linear.bias"}


def test_the_classifier_is_taken_where_the_classes_are_the_same(source, tmp_path):
    student = model("a", "b", "c")
    given = Start(str(source)).give(student, seed=0)
    assert given.new == {} and "new: nothing" in str(given)
    x = torch.rand(4, *IMAGE)
    assert torch.equal(student.eval()(x), kantor.load(str(source)).eval()(x))
    # A file that names no classes: those that the user gave for it decide.
    torch.save(student.network.state_dict(), tmp_path / "bare.pt")
    bare = f"cnn@width=8:{tmp_path / 'bare.pt'}"
    assert Start(bare).give(model("a", "b", "c"), seed=0).new
    assert not Start(bare, ["a", "b", "c"]).give(model("a", "b", "c"), seed=0).new


def test_what_stands_before_the_network_comes_with_the_weights(tmp_path):
    theirs = model("a", "b", spec="cnn@width=8@normalise=0.5/0.25@size=16")
    theirs.save(tmp_path / "s.safetensors")
    student = model("x", "y")
    Start(f"cnn:{tmp_path / 's.safetensors'}").give(student, seed=0)
    assert student.normalise.facts() == theirs.normalise.facts() and student.size == 16


def test_a_seed_has_a_start_of_its_own(source):
    start = Start(str(source.parent.parent / "seed-{seed}"))
    assert start.of(3) == str(source)
    with pytest.raises(ConfigError, match=r"seed-4: there are no weights.*seed-\{seed\}"):
        start.of(4)


@pytest.mark.parametrize("spec", ["resnet8", "runs/nowhere"])
def test_a_start_without_weights(spec):
    with pytest.raises(ConfigError, match="there are no weights"):
        Start(spec).of(0)


@pytest.mark.parametrize(("spec", "says"), [("cnn@width=16", "of another shape"), ("resnet8", "not in the model")])
def test_another_architecture_does_not_fit(source, spec, says):
    with pytest.raises(DataError, match=says) as error:
        Start(str(source)).give(model("x", "y", spec=spec), seed=0)
    assert f"start {source}" in str(error.value)


def test_scratch_teacher_and_a_methods_own(source):
    study = Study(data="digits", student="teacher", start="teacher", teacher=str(source.parent))
    assert with_student(study).student == "cnn@width=8"
    assert start_of(study, None, (str(source), None)) == Start(str(source))
    assert start_of(study, "scratch", (str(source), None)) is None
    assert start_of(study, "runs/a/seed-{seed}", None) == Start("runs/a/seed-{seed}")
    with pytest.raises(ConfigError, match="one teacher"):
        start_of(study, None, None)
    with pytest.raises(ConfigError, match="architecture of the one"):
        with_student(Study(data="digits", student="teacher"))
    (method,) = parse_methods([{"name": "two_step", "start": "runs/a/seed-{seed}"}])
    assert (method.start, method.terms, method.transfers) == ("runs/a/seed-{seed}", (), False)


def test_a_pretrained_models_architecture_has_no_weights():
    from kantor.models.loading import architecture

    assert architecture("timm:resnet18@pretrained=true@size=64") == "timm:resnet18@size=64"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("task:-1+rkd", "Method task:-1\\+rkd: the task's weight is zero or positive, not -1"),
        ([{"name": " ", "terms": [{"loss": "rkd"}]}], "A method has an empty name"),
        ([{"name": "x", "terms": [{"loss": "rkd", "weight": -2}]}], "weight of rkd is zero or positive, not -2"),
    ],
)
def test_methods_that_cannot_be_meant(given, says):
    with pytest.raises(ConfigError, match=says):
        parse_methods(given)


def test_penalties_are_not_shared_out_over_teachers():
    (method,) = parse_methods("l2_sp:3+rkd")
    found = method.over({"a": 0.5, "b": 0.5})
    assert [(term.loss.name, term.teacher) for term in found.terms] == [("l2_sp", None), ("rkd", "a:"), ("rkd", "b:")]
    assert method.transfers and not parse_methods("l2_sp")[0].transfers


@pytest.mark.parametrize("given", ["5,x", "5,5", 0, [3, -1]])
def test_numbers_of_labels_that_cannot_be_meant(given):
    with pytest.raises(ConfigError, match="labels_per_class"):
        Study(data="digits", student="cnn", labels_per_class=given).check()


def test_a_number_of_labels_twice():
    with pytest.raises(ConfigError, match="labels_per_class holds a number twice: '5,5'"):
        Study(data="digits", student="cnn", labels_per_class="5,5").check()


def test_numbers_of_labels():
    numbers = [Study(data="d", student="cnn", labels_per_class=n).label_numbers() for n in (None, 5, "5,20", [5, 20])]
    assert numbers == [[], [5], [5, 20], [5, 20]]
