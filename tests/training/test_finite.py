"""What is not finite is named before it is written: terms, samples, weights, and what to do."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from kantor.core.errors import NonFiniteError
from kantor.training.finite import check_gradient, check_weights, looked_at

LAST = Path("run/checkpoints/last.pt")


def test_a_gradient_that_overflowed():
    check_gradient(None, 3, LAST)
    check_gradient(torch.tensor(1e30), 3, LAST)
    for bad in (math.inf, math.nan):
        with pytest.raises(NonFiniteError, match=rf"At step 4 .*norm is {bad}.*stays in {LAST}.*Lower lr"):
            check_gradient(torch.tensor(bad), 3, LAST)


def test_weights_are_named_three_of_many():
    student = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3)))
    check_weights(student, 5, LAST)
    with torch.no_grad():
        student.get_parameter("1.bias")[0] = math.nan
    with pytest.raises(NonFiniteError, match=r"After step 5 1 of the student's 6 weights are not finite \(1\.bias\)"):
        check_weights(student, 5, LAST)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.fill_(math.inf)
    with pytest.raises(NonFiniteError, match=r"6 of the student's 6 .* \(0\.weight, 0\.bias, 1\.weight, \.\.\.\)"):
        check_weights(student, 5, LAST)


def test_a_look_adds_where_it_was_and_lets_other_errors_pass():
    with (
        pytest.raises(NonFiniteError, match=rf"After step 9: the logits are not finite\. .*{LAST}"),
        looked_at(9, LAST),
    ):
        raise NonFiniteError("the logits are not finite.")
    with pytest.raises(ValueError, match=r"^x$"), looked_at(9, LAST):
        raise ValueError("x")
