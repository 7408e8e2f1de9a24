import copy

import pytest
import torch
from torch import nn

from kantor.core.errors import ConfigError
from kantor.losses import KD
from kantor.objective import LiveTeacher, Objective, Term
from kantor.objective.sharing import follows_mode
from tests.objective.networks import a_batch, network


def shares(student: nn.Module, teacher: nn.Module) -> Objective:
    return Objective(student, {"big": teacher}, [Term(KD())])


def test_a_teacher_that_holds_a_part_of_the_student_is_refused_by_name_and_freezes_nothing():
    student, teacher = network(4), network(4)
    teacher[0], teacher[5] = student[0], student[5]
    with pytest.raises(ConfigError, match=r"shares 0\.weight, 0\.bias, 5 with teacher big.*deepcopy"):
        shares(student, teacher)
    assert student[0].weight.requires_grad
    assert student.training
    with pytest.raises(ConfigError, match=r"shares 0\.weight"):
        shares(student, LiveTeacher(teacher))  # type: ignore[arg-type]


def test_one_weight_one_buffer_and_one_memory_are_sharing_too():
    student = network(4)
    tied = network(4)
    tied[6].weight = student[6].weight
    with pytest.raises(ConfigError, match=r"shares 6\.weight with"):
        shares(student, tied)
    buffered = network(4)
    buffered[1].running_mean = student[1].running_mean
    with pytest.raises(ConfigError, match=r"shares 1\.running_mean with"):
        shares(student, buffered)
    assigned = network(4)
    assigned.load_state_dict(student.state_dict(), assign=True)  # new parameters in the old memory
    assert assigned[6].weight is not student[6].weight
    with pytest.raises(ConfigError, match=r"shares 0\.weight"):
        shares(student, assigned)
    with pytest.raises(ConfigError, match=r"shares 0\.weight"):
        shares(student, student)


def test_a_copy_and_a_shared_activation_are_no_sharing():
    student = network(4)
    teacher = copy.deepcopy(student)
    teacher[2] = student[2]
    shares(student, teacher).check(a_batch(), quiet=True)


def test_what_follows_the_mode_is_told_from_the_code():
    assert follows_mode(nn.Dropout()) and follows_mode(nn.BatchNorm2d(2)) and follows_mode(nn.MultiheadAttention(4, 2))
    assert not (follows_mode(nn.ReLU()) or follows_mode(nn.Linear(2, 2)) or follows_mode(torch.nn.Sequential()))
