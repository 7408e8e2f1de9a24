"""A penalty on the student's weights among an objective's terms."""

import pytest
import torch
from torch import nn

from kantor.core.errors import ConfigError
from kantor.losses import L2SP
from kantor.objective import Balanced, Objective, Term
from tests.objective.networks import a_batch, network


def test_a_penalty_compares_with_the_source_and_is_saved_with_it():
    student, batch = network(4), a_batch()
    source = {name: p.detach().clone() for name, p in student.named_parameters() if not name.startswith("6.")}

    def objective(module: nn.Module) -> Objective:
        return Objective(module, {}, [Term(L2SP(alpha=2.0, beta=4.0), weight=3.0)], source=source)

    first = objective(student)
    facts = first.check(batch, quiet=True)
    head = sum(p.square().sum() for name, p in student.named_parameters() if name.startswith("6."))
    torch.testing.assert_close(first(batch).terms["l2_sp"], 2 * head)
    assert [(t.name, t.student, t.weight) for t in facts.terms] == [("task", [], 1.0), ("l2_sp", [], 3.0)]
    assert 0 < facts.terms[1].gradient_share < 1
    assert "Term l2_sp" in str(facts) and "weights <- where they started" in str(facts)
    with torch.no_grad():
        student.get_parameter("0.bias").add_(1.0)
    torch.testing.assert_close(first(batch).terms["l2_sp"], 2 * head + 4.0)
    again = objective(network(4))
    again.check(batch, quiet=True)
    again.load_state_dict(first.state_dict(), strict=True)
    torch.testing.assert_close(again(batch).terms["l2_sp"], first(batch).terms["l2_sp"])


def test_a_penalty_that_cannot_be_meant():
    source = {name: p.detach() for name, p in network(4).named_parameters()}
    with pytest.raises(ConfigError, match="starts from scratch"):
        Objective(network(4), {}, [Term(L2SP())])
    for term, says in ((Term(L2SP(), weight=Balanced()), "as a number"), (Term(L2SP(), "0", "0"), "no layers")):
        with pytest.raises(ConfigError, match=says):
            Objective(network(4), {}, [term], source=source).check(a_batch(), quiet=True)
