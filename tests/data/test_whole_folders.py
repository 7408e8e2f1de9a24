import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from kantor.core.errors import KantorError
from kantor.data.whole_folders import whole_folder


def write(target: Path, content: str) -> None:
    with whole_folder(target) as folder:
        (folder / "a").write_text(content)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_a_folder_appears_whole_and_the_last_writer_wins(tmp_path):
    write(tmp_path / "x", "1")
    write(tmp_path / "x", "2")
    assert (tmp_path / "x/a").read_text() == "2"
    assert left(tmp_path) == ["x"]


def test_a_failure_leaves_what_was_there(tmp_path):
    write(tmp_path / "x", "1")
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "x") as folder:
        (folder / "a").write_text("half")
        raise RuntimeError
    assert (tmp_path / "x/a").read_text() == "1"
    assert left(tmp_path) == ["x"]


def test_two_writers_at_once(tmp_path):
    with whole_folder(tmp_path / "x") as mine:
        (mine / "a").write_text("mine")
        write(tmp_path / "x", "other")
        assert (mine / "a").read_text() == "mine"
    assert (tmp_path / "x/a").read_text() == "mine"
    assert left(tmp_path) == ["x"]


def _die_inside(target: Path) -> None:
    with whole_folder(target) as folder:
        (folder / "a").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_inside, args=(tmp_path / "x",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(left(tmp_path)) == 2 and not (tmp_path / "x").exists()
    write(tmp_path / "y", "1")
    assert left(tmp_path) == ["y"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(KantorError, match=r"Could not write .*file/x.*choose a folder"):
        write(tmp_path / "file" / "x", "1")
