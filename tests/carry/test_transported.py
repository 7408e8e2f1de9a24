"""A model that starts from its teacher's weights stands on its own."""

import pytest
import torch

import kantor
from kantor.core.errors import ConfigError
from kantor.models import Model

SHAPE = (1, 8, 8)


def models() -> tuple[Model, Model]:
    teacher, student = (kantor.load(f"cnn@width={width}", classes=3, input_shape=SHAPE) for width in (8, 4))
    return teacher, student  # the student's first layer has one unit


def test_teacher_and_student_share_nothing_and_train_side_by_side():
    teacher, student = models()
    kantor.transported(teacher, student, [torch.rand(16, *SHAPE)])
    assert not {id(m) for m in teacher.modules()} & {id(m) for m in student.modules()}
    objective = kantor.Objective(student, {"big": teacher}, [kantor.Term(kantor.losses.KD())])
    objective.check(torch.rand(16, *SHAPE), torch.arange(16) % 3, quiet=True)


def test_one_sample_compares_nothing():
    teacher, student = models()
    with pytest.raises(ConfigError, match="two or more"):
        kantor.transported(teacher, student, [torch.rand(16, *SHAPE)], samples=1)


def test_an_unknown_plan_is_named():
    one = kantor.load("mlp@hidden=4@normalise=none", classes=3, input_shape=(6,))
    with pytest.raises(ConfigError, match="unknown plan 'best'"):
        kantor.transported(one, one, [torch.randn(4, 6)], plan="best")  # pyright: ignore[reportArgumentType]
