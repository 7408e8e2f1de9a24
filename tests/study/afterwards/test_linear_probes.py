"""Linear probes on a run's students: what is kept, and compared with what."""

import json
import math
import shutil

import numpy as np
import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.results.files import PROBE
from kantor.study import run_study
from kantor.study.afterwards.linear_probes import RANDOM, probe_run, reached_by, table
from small import console, printed, settings


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run, and all beside it."""
    folder = tmp_path_factory.mktemp("trained")
    study = settings(folder, methods="none,neuron_transport", teacher="mlp@hidden=8")
    run_study(study, console())
    return folder, study.folder().relative_to(folder)


@pytest.fixture
def run(trained, tmp_path):
    folder, name = trained
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / name


def silent(_: str) -> None:
    pass


def test_every_student_and_layer_with_differences_to_labels_alone_and_to_nothing(run):
    found = probe_run(run, None, None, silent)
    assert found["bases"] == {RANDOM: "untrained", "none": "labels alone"}
    assert list(found["methods"]) == ["none", "neuron_transport", RANDOM]
    rows = found["methods"]["neuron_transport"]
    for layer, row in rows.items():
        assert row["seeds"] == [0, 1] and all(0 <= value <= 1 for value in row["values"])
        alone = found["methods"]["none"][layer]["values"]
        assert row["differences"]["none"]["mean"] == pytest.approx(np.mean(np.subtract(row["values"], alone)))
    assert found["samples"] == {"train": 54, "validation": 6, "test": 20}
    assert json.loads((run / PROBE).read_text())["vectors.npz"]["methods"].keys() == found["methods"].keys()


def test_students_are_probed_once_for_data_and_again_for_others(run, tmp_path, monkeypatch):
    first = probe_run(run, None, None, silent)
    import kantor.study.afterwards.linear_probes as module

    calls = []
    real = module.probe
    monkeypatch.setattr(module, "probe", lambda *a, **k: calls.append(a) or real(*a, **k))
    assert probe_run(run, None, None, silent) == first and not calls
    with np.load(tmp_path / "vectors.npz") as held:
        arrays = {name: array[::-1] for name, array in held.items()}
    np.savez(tmp_path / "other.npz", **arrays)
    other = probe_run(run, str(tmp_path / "other.npz"), None, silent)
    assert len(calls) == 6 and other["data"] == "other.npz"
    assert set(json.loads((run / PROBE).read_text())) == {"vectors.npz", "other.npz"}


def test_other_data_are_read_as_the_runs_task_means_their_labels(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 4)).astype(np.float32)
    np.savez(tmp_path / "numbers.npz", x=x, y=x[:, 0] * 2 + 0.5)
    study = settings(tmp_path, data=str(tmp_path / "numbers.npz"), task="regression", seeds=1)
    run_study(study, console())
    own = probe_run(study.folder(), None, None, silent)
    assert probe_run(study.folder(), str(tmp_path / "numbers.npz"), None, silent)["methods"] == own["methods"]
    assert own["metric"]["name"] == "RMSE"


def test_what_cannot_be_probed_is_said(run, tmp_path):
    np.savez(tmp_path / "wide.npz", x=np.zeros((20, 5), np.float32), y=np.arange(20) % 2)
    with pytest.raises(ConfigError, match=r"The students see \[4\], and wide.npz has \[5\]"):
        probe_run(run, str(tmp_path / "wide.npz"), None, silent)
    (run / "plan.json").unlink()
    with pytest.raises(ConfigError, match="has no finished student to probe"):
        probe_run(run, None, None, silent)


def test_the_table_of_a_terminal(run):
    found = probe_run(run, None, None, silent)
    to = console()
    to.print(table(found))
    said = printed(to)
    assert "accuracy (95 % interval)" in said and "to untrained" in said and "to labels alone" in said
    assert all(name in said for name in ("neuron_transport", RANDOM))


def test_a_layer_that_was_not_judged_is_no_number():
    assert reached_by({"layer": "a", "reached": 0.5}) == 0.5
    assert reached_by({"layer": "a", "accuracy": 0.25}) == 0.25  # before there were tasks
    assert math.isnan(reached_by({"layer": "a", "reached": None}))


def test_a_file_whose_students_have_other_layers_is_named(run):
    probe_run(run, None, None, silent)
    content = json.loads((run / PROBE).read_text())
    content["vectors.npz"]["students"]["none"]["1"]["layers"][0]["layer"] = "another"
    (run / PROBE).write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"probe.json cannot be used: .*same layers. Delete it"):
        probe_run(run, None, None, silent)
