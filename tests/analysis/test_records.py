import numpy as np
import pytest

from kantor.analysis import read_trajectories
from kantor.core.errors import DataError


def record(folder, epoch: int, plan: np.ndarray, widths=None) -> None:
    (folder / "plans").mkdir(exist_ok=True)
    np.savez_compressed(
        folder / "plans" / f"epoch-{epoch:03d}.npz",
        plan_0=plan.astype(np.float32),
        cost_0=(1 - plan * len(plan)).astype(np.float32),
        student_layer_0=np.array("layer3"),
        teacher_layer_0=np.array("teacher:layer4"),
        widths_0=np.array(widths or plan.shape),
    )


def test_measures_by_epoch(tmp_path):
    eye = np.eye(4) / 4
    swapped = eye[[1, 0, 2, 3]]
    for epoch, plan in ((0, np.full((4, 4), 1 / 16)), (1, eye), (10, swapped)):
        record(tmp_path, epoch, plan)
    (found,) = read_trajectories(tmp_path)
    assert (found.student, found.teacher, found.widths, found.binned) == ("layer3", "teacher:layer4", (4, 4), False)
    assert found.epochs == [0, 1, 10]
    assert found.values["diagonal"] == pytest.approx([0.25, 1.0, 0.5])
    assert found.values["entropy"] == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)
    assert found.values["distance"] == pytest.approx([0.75, 0.0, 0.0], abs=1e-6)
    assert found.values["gap"] == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    assert found.values["changed_since_previous"] == [None, 0.75, 0.5]
    assert found.values["changed_since_first"][0] == 0.0


def test_groups_of_neurons_are_said_to_be_groups(tmp_path):
    record(tmp_path, 0, np.eye(4) / 4, widths=(8, 8))
    (found,) = read_trajectories(tmp_path)
    assert found.binned
    assert found.widths == (8, 8)


def test_nothing_recorded_and_damaged(tmp_path):
    assert read_trajectories(tmp_path) == []
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "epoch-000.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"epoch-000\.npz"):
        read_trajectories(tmp_path)
