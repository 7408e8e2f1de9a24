"""Plans survive the packing: a page can be read back to the recorded masses."""

import base64
import zlib

import numpy as np
import pytest

from kantor.report import plans as plans_module
from kantor.report.plans import LEVELS, Level, pack_plans
from kantor.report.run import read_run
from kantor.report.write import fitting


def inflated(blob: str, kind: str, *shape: int) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(blob)), kind).reshape(shape)


def recorded(run, method: str = "kd", seed: int = 0, epoch: int = 4) -> np.ndarray:
    with np.load(run / method / f"seed-{seed}" / "plans" / f"epoch-{epoch:03d}.npz") as arrays:
        return arrays["plan_0"].astype(float)


def unpacked(packed, which: int = 0) -> tuple[dict, np.ndarray]:
    known = packed.index["sets"][which]
    steps = inflated(packed.blobs[known["blob"]], "u1", len(known["epochs"]), *known["shape"])
    return known, known["scale"] * (steps / 255) ** 2


def test_masses_read_back(made):
    folder = made()
    packed = pack_plans(read_run(folder), Level())
    assert packed is not None
    which = next(k for k, s in enumerate(packed.index["sets"]) if (s["method"], s["seed"]) == ("kd", 0))
    known, masses = unpacked(packed, which)
    assert known["epochs"] == [0, 1, 2, 3, 4]
    for epoch in known["epochs"]:
        want = recorded(folder, epoch=epoch)[known["rows"]][:, known["columns"]]
        np.testing.assert_allclose(masses[epoch], want, atol=known["scale"] * 0.5 * 2 / 255)
    assert packed.left_out == ""


def test_last_epoch_is_drawn_along_the_diagonal(made):
    packed = pack_plans(read_run(made()), Level())
    assert packed is not None
    _, masses = unpacked(packed)
    best = masses[-1].argmax(axis=1)
    assert (np.diff(best) >= 0).all() or (np.diff(best) <= 0).all()
    assert best.max() > best.min()


def test_facts_of_a_plan(made):
    folder = made()
    packed = pack_plans(read_run(folder), Level())
    assert packed is not None
    facts = packed.index["sets"][0]["facts"]
    first, second = recorded(folder, "none", epoch=0), recorded(folder, "none", epoch=1)
    assert facts["moved"][0] is None
    assert facts["moved"][1] == pytest.approx(0.5 * np.abs(second - first).sum(), rel=1e-5)
    assert facts["best"][0] == pytest.approx(1 / 6, abs=1e-4)
    assert facts["best"][4] == pytest.approx(1.0, abs=1e-4)
    assert facts["cost"][4] < facts["cost"][0]
    assert facts["cost"][0] == pytest.approx(facts["uniform"][0], rel=1e-4)


def test_large_plans_are_binned_and_keep_their_partners(made):
    folder = made({"none": [0.8], "kd": [0.9]}, widths=(300, 150), epochs=1)
    packed = pack_plans(read_run(folder), Level(64))
    assert packed is not None
    known, masses = unpacked(packed, 1)
    assert masses.shape == (2, 64, 64)
    assert masses[1].sum() == pytest.approx(1.0, rel=0.02)
    plan = recorded(folder, epoch=1)
    ordered = plan[known["rows"]][:, known["columns"]]
    members = np.arange(300) * 64 // 300 == 5
    assert masses[1][5].sum() == pytest.approx(ordered[members].sum(), rel=0.02)
    top = inflated(packed.blobs[known["blob"] + 1], "<u2", 2, 300, 3)
    share = inflated(packed.blobs[known["blob"] + 2], "u1", 2, 300, 3)
    assert (top[1, :, 0] == plan.argmax(axis=1)).all()
    assert (share[1, :, 0] == 255).all()


def test_wide_layers_are_ordered_before_they_are_binned(made):
    """Every unit's partner is known, and the mass of the bins lies on the diagonal: their units belong together."""
    folder = made({"none": [0.8], "kd": [0.9]}, widths=(1200, 600), epochs=1, exciting=True)
    packed = pack_plans(read_run(folder), Level(64))
    assert packed is not None
    known, masses = unpacked(packed, 1)
    assert masses.shape == (2, 64, 64)
    assert masses[1].sum() == pytest.approx(1.0, rel=0.03)
    assert np.trace(masses[1]) > 0.97 * masses[1].sum()
    assert sorted(known["rows"]) == list(range(1200))
    with np.load(folder / "kd" / "seed-0" / "plans" / "epoch-001.npz") as arrays:
        best = arrays["masses_0"].argmax(axis=1)
    top = inflated(packed.blobs[known["blob"] + 1], "<u2", 2, 1200, 3)
    assert (top[1, :, 0] == best).all()
    facts = known["facts"]
    assert facts["best"] == [pytest.approx(1 / 600, abs=1e-4), pytest.approx(1.0, rel=0.01)]
    assert facts["moved"][1] == pytest.approx(1 - 1 / 600, rel=0.01)
    assert facts["cost"][1] < facts["uniform"][1]
    assert facts["cost"][0] == pytest.approx(facts["uniform"][0], rel=1e-4)


def test_units_of_the_output_have_class_names(made):
    run = read_run(made({"none": [0.8], "kd": [0.9]}, widths=(4, 4), layers=("logits", "teacher:logits"), epochs=1))
    packed = pack_plans(run, Level())
    assert packed is not None
    assert packed.index["pairs"][0]["studentNames"][1] == "dog"
    assert packed.index["pairs"][0]["teacherNames"][1] == "dog"


def test_a_page_too_large_gets_less(made):
    run = read_run(made({"none": [0.8] * 4, "kd": [0.9] * 4}, widths=(40, 20), epochs=20))
    everything = pack_plans(run, LEVELS[0])
    assert everything is not None
    (whole,) = fitting([run], everything.size)
    assert whole is not None
    assert whole.left_out == ""
    (less,) = fitting([run], everything.size // 2)
    assert less is not None
    assert less.size <= everything.size // 2
    assert less.left_out.startswith("The page holds ")
    assert less.index["sets"][0]["epochs"][0] == 0
    assert less.index["sets"][0]["epochs"][-1] == 20
    assert fitting([run], 10) == [None]


def test_no_plans(made, monkeypatch):
    monkeypatch.setattr(plans_module, "_files", lambda student: [])
    assert pack_plans(read_run(made()), Level()) is None
