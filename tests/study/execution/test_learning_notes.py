"""Step 0 says where several processes are another training than one."""

import pytest

import kantor
from kantor.study import Study
from kantor.study.execution import learning_notes


@pytest.mark.parametrize(("model", "norms"), [("mlp", False), ("resnet8", True)])
@pytest.mark.parametrize("processes", [1, 2])
def test_batch_norm_of_several_processes_is_said(monkeypatch, model, norms, processes):
    monkeypatch.setattr(learning_notes, "world_size", lambda: processes)
    student = kantor.load(model, classes=10, input_shape=(1, 8, 8))
    config = Study(data="digits", student=model)
    said = " ".join(learning_notes.how_it_learns(config, kantor.Objective(student, {}, []), None))
    assert ("2 processes train another student" in said) == (norms and processes == 2)
