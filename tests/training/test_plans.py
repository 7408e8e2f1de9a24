"""Records of plans: of layers that are too wide to be kept whole, single units keep what matters of them."""

import numpy as np
import torch

from kantor.training.plans import EXCITING, LARGEST, PARTNERS, _exciting, _partners, record_plans


def test_partners_are_the_strongest_of_each_row():
    plan = torch.rand(7, 5, dtype=torch.float64)
    partners, shares = _partners(plan)
    whole = (plan / plan.sum(1, keepdim=True)).numpy()
    np.testing.assert_array_equal(partners, np.argsort(-whole, axis=1)[:, :PARTNERS])
    np.testing.assert_allclose(shares, -np.sort(-whole, axis=1)[:, :PARTNERS], atol=1e-3)


def test_exciting_samples_are_the_largest_and_a_silent_unit_has_none():
    activations = torch.rand(20, 4)
    activations[:, 2] = 0.0
    found = _exciting(activations)
    assert found.shape == (4, EXCITING)
    assert (found[2] == -1).all()
    assert found[0].tolist() == activations[:, 0].topk(EXCITING).indices.tolist()


def test_a_wide_layer_is_binned_and_its_units_are_kept(tmp_path):
    import kantor
    from kantor.objective import LiveTeacher
    from kantor.training import Pair, Probe

    width = LARGEST + 88
    data = kantor.open_data("digits", train_limit=100)
    torch.manual_seed(0)
    teacher = kantor.load(f"mlp@hidden={width}", classes=data.classes, input_shape=(1, 8, 8))
    student = kantor.load(f"mlp@hidden={width}", classes=data.classes, input_shape=(1, 8, 8))
    student.load_state_dict(teacher.state_dict())
    objective = kantor.Objective(student, {"t": teacher}, [])
    probe = Probe(data.train, [Pair("penultimate", "penultimate", "t")], {"t": LiveTeacher(teacher)})
    record_plans(tmp_path / "plan.npz", objective, probe, torch.device("cpu"))
    with np.load(tmp_path / "plan.npz") as record:
        assert record["plan_0"].shape == (LARGEST, LARGEST)
        partners, exciting = record["teacher_partners_0"], record["teacher_exciting_0"]
        assert partners.shape == (width, PARTNERS)
        np.testing.assert_array_equal(exciting, record["student_exciting_0"])
        alive = exciting[:, 0] >= 0
        # The two nets are one: every unit that is not silent finds itself.
        assert (partners[alive, 0] == np.flatnonzero(alive)).mean() > 0.95
