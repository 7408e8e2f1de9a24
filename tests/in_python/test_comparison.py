"""What a study found, as a program reads it."""

import builtins

import pytest

import kantor
import small
from kantor.core.errors import ConfigError
from kantor.study import run_study, run_sweep


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def found(place):
    run_study(
        small.settings(
            place, methods="none,kd", teacher="mlp@hidden=8", seeds=3, epochs=8, batch_size=5, teacher_epochs=8
        ),
        small.console(),
    )
    return kantor.Comparison.of(place / "runs" / "run")


def test_rows_are_those_of_the_summary(found):
    none, kd = found.rows()
    row = found.summary["methods"]["kd"]
    assert (kd["accuracy"], kd["low"], kd["seeds"]) == (row["mean"], row["interval"][0], 3)
    assert (kd["collapsed"], kd["difference"], none["difference"]) == (0, row["difference"]["mean"], None)
    students = found.rows(per_seed=True)
    assert [(s["method"], s["seed"]) for s in students] == [(m, k) for m in ("none", "kd") for k in range(3)]
    assert [s["accuracy"] for s in students[3:]] == row["values"]


def test_a_frame_holds_the_rows(found):
    pytest.importorskip("pandas")
    frame = found.to_frame()
    assert list(frame["method"]) == ["none", "kd"] and frame["accuracy"].tolist() == [
        r["accuracy"] for r in found.rows()
    ]


def test_without_pandas_or_matplotlib_it_is_said_what_to_install(found, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] in ("pandas", "matplotlib"):
            raise ModuleNotFoundError(name, name=name.partition(".")[0])
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"kantor\[frames\]"):
        found.to_frame()
    with pytest.raises(ConfigError, match=r"kantor\[plots\]"):
        found.plot()


def test_the_figure_has_a_dot_for_each_seed(found):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    axes = found.plot()
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [3, 3]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "kd"]
    assert axes.get_xlabel() == "accuracy, %"
    pyplot.close(axes.figure)


def test_the_table_is_what_the_command_prints(found):
    assert "none" in str(found) and "95 % interval" in found.table() and "kd" in found.table()


def test_the_page_is_written_and_students_are_found(found):
    assert found.report().read_text("utf-8").startswith("<!doctype html>")
    assert found.student("kd", 2).num_classes == 2
    with pytest.raises(ConfigError, match=r"has no method 'kdd'\. Close to it: kd"):
        found.student("kdd")
    with pytest.raises(ConfigError, match=r"kd has the seeds \[0, 1, 2\], and not 7"):
        found.student("kd", 7)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no finished run"):
        kantor.Comparison.of(tmp_path)


def test_several_numbers_of_labels_are_a_run_each(place):
    settings = small.settings(place, labels_per_class="3,6", seeds=2, epochs=1, out=str(place / "runs" / "sweep"))
    run_sweep(settings, small.console())
    found = kantor.Comparison.of(place / "runs" / "sweep")
    assert [row["labels_per_class"] for row in found.rows()] == [3, 6]
    assert "labels per class" in found.table()
    with pytest.raises(ConfigError, match="There are 2 runs"):
        _ = found.summary
