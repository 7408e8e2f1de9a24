"""Records of plans: of layers that are too wide to be kept whole, single units keep what matters of them."""

import numpy as np
import torch

from kantor.training.plans import EXCITING, LARGEST, _exciting, quantised, record_plans


def test_steps_read_back():
    masses = np.geomspace(1e-7, 1.0, 400)
    read = (quantised(masses, 1.0) / 255) ** 2
    large = masses > 0.01
    assert np.abs(read[large] / masses[large] - 1).max() < 0.045
    assert np.abs(read - masses).max() < 1 / 255
    assert read[masses < 2e-6].max() == 0.0


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
    from kantor.training import Pair, PlanSamples

    width = LARGEST + 88
    data = kantor.open_data("digits", train_limit=100)
    torch.manual_seed(0)
    teacher = kantor.load(f"mlp@hidden={width}", classes=data.classes, input_shape=(1, 8, 8))
    student = kantor.load(f"mlp@hidden={width}", classes=data.classes, input_shape=(1, 8, 8))
    student.load_state_dict(teacher.state_dict())
    objective = kantor.Objective(student, {"t": teacher}, [])
    probe = PlanSamples(data.train, [Pair("penultimate", "penultimate", "t")], {"t": LiveTeacher(teacher)})
    record_plans(tmp_path / "plan.npz", objective, probe, torch.device("cpu"))
    with np.load(tmp_path / "plan.npz") as record:
        assert record["plan_0"].shape == (LARGEST, LARGEST)
        masses, exciting = record["masses_0"], record["teacher_exciting_0"]
        assert masses.shape == (width, width)
        np.testing.assert_array_equal(exciting, record["student_exciting_0"])
        alive = exciting[:, 0] >= 0
        # The two nets are one: every unit that is not silent finds itself.
        assert (masses[alive].argmax(axis=1) == np.flatnonzero(alive)).mean() > 0.95
        total = record["largest_0"] * ((masses / 255.0) ** 2).sum()
        assert abs(total - 1) < 0.02
        paid, uniform = record["paid_0"]
        assert paid < 0.5 * uniform
        # In the recorded order mass lies along the diagonal, so bins hold units that belong together.
        rows, columns = record["rows_0"], record["columns_0"]
        place = np.argsort(columns)[masses[rows[alive[rows]]].argmax(axis=1)]
        assert (np.diff(place) > 0).mean() > 0.95
