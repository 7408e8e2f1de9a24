"""examples/faculty asks for studies that kantor takes."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples" / "faculty")
    before = set(sys.modules)
    yield importlib.import_module("trials")
    for module in set(sys.modules) - before:
        if "examples" in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


@pytest.mark.parametrize(("methods", "shown"), [(["none"], None), (["none", "fitnet"], "all")])
def test_the_student_alone_is_shown_nothing(trials, monkeypatch, tmp_path, methods, shown) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(trials, "run_study", lambda study, _: asked.append(study))
    bench = trials.Bench(tmp_path, {"hoofed": "cnn"}, "learned", 1, 1, [0], True)
    bench.study(tmp_path / "out", "vehicles", "hoofed", "learned", methods, [100], {})
    assert asked[0].unlabelled == shown and asked[0].labels_per_class == trials.LABELS


def test_a_wide_study_has_all_teachers_and_tasks_and_the_first_are_those_of_the_other(trials) -> None:
    taking_part = sys.modules["teachers"].taking_part
    wide, few = taking_part(wide=True), taking_part(wide=False)
    assert [len(part) for part in (*wide, *few)] == [12, 5, 8, 3]
    assert all(many[: len(some)] == some for many, some in zip(wide, few, strict=True))
