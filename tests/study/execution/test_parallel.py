"""How many students train at once, on how many threads."""

import json

import pytest

from kantor.study import Study
from kantor.study.execution import parallel
from kantor.study.execution.parallel import SMALL, jobs_for, threads_for


@pytest.mark.parametrize("cores", [1, 2, 6, 16])
@pytest.mark.parametrize("students", [1, 2, 5, 40])
@pytest.mark.parametrize("work", [SMALL / 2, SMALL * 2])
@pytest.mark.parametrize("asked", [0, 1, 3])
def test_jobs_times_threads_never_exceed_the_cores_at_the_defaults(tmp_path, monkeypatch, cores, students, work, asked):
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    config = Study(data="digits", student="cnn", jobs=asked)
    threads = threads_for(config, tmp_path, work, students)
    jobs = jobs_for(config, threads)
    assert threads == 1 if work < SMALL else threads >= 1
    assert min(jobs, students) * threads <= max(cores, asked)
    if not asked and work > SMALL:
        assert min(jobs, students) * threads > cores / 2  # and few stand idle


def test_what_is_asked_for_is_taken(tmp_path):
    config = Study(data="digits", student="cnn", threads=3, jobs=2)
    assert threads_for(config, tmp_path, 1.0, 1) == 3
    assert jobs_for(config, 3) == 2


def test_threads_are_those_that_the_run_began_with_whatever_is_free_later(tmp_path, monkeypatch):
    begun = {"teachers": {}, "bound": {}, "pairs": [], "cached": False, "threads": 3, "starts": {}}
    (tmp_path / "plan.json").write_text(json.dumps(begun))
    config = Study(data="digits", student="cnn")
    for cores in (1, 3, 64):
        monkeypatch.setattr(parallel, "cores", lambda cores=cores: cores)
        for work in (SMALL / 2, SMALL * 2):
            assert threads_for(config, tmp_path, work, students=4) == 3
