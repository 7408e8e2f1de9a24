"""Folders that one process works in at a time: where there is flock, and where there is not."""

import errno
import json
import subprocess
import sys
import time

import pytest

from kantor.core.cores import cores
from kantor.core.errors import ConfigError, KantorError
from kantor.core.locks import LOCK, locked
from kantor.data.whole_folders import whole_folder

HOLD = """
import sys, time
from pathlib import Path
from kantor.core.locks import locked
with locked(Path("folder")):
    Path("held").touch()
    time.sleep(1000)
"""


def test_one_holder_at_a_time_and_the_folder_is_made(tmp_path):
    folder = tmp_path / "a" / "b"
    with locked(folder):
        with pytest.raises(ConfigError, match=r"Another process is working in .*a/b.*Wait for it, or stop it"), \
             locked(folder, patience=0):  # fmt: skip
            pass
        with locked(tmp_path / "other", patience=0):
            pass
    with locked(folder, patience=0):
        pass


def test_it_is_said_who_holds_it_until_that_one_dies(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, "resume", "runs/mine"], cwd=tmp_path)
    while not (tmp_path / "held").exists():
        assert holder.poll() is None
        time.sleep(0.01)
    with pytest.raises(ConfigError, match=rf"process {holder.pid} on .*`kantor resume runs/mine`, since 20"), \
         locked(tmp_path / "folder", patience=0.3):  # fmt: skip
        pass
    holder.kill()
    holder.wait()
    with locked(tmp_path / "folder", patience=0):
        held = json.loads((tmp_path / "folder" / LOCK).read_text())
        assert held["process"] != holder.pid
    assert (tmp_path / "folder" / LOCK).read_text() == ""


def test_it_is_waited_for(tmp_path):
    script = "import time\nfrom pathlib import Path\nfrom kantor.core.locks import locked\n"
    script += "with locked(Path('f')):\n    Path('held').touch(); time.sleep(1)\n"
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path) as holder:
        while not (tmp_path / "held").exists():
            assert holder.poll() is None
            time.sleep(0.01)
        with locked(tmp_path / "f", patience=60):
            assert (tmp_path / "held").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"process": 3}', "\x00\xff"])
def test_a_lock_file_that_says_nothing_of_use(tmp_path, content):
    with locked(tmp_path):
        (tmp_path / LOCK).write_text(content)
        with pytest.raises(ConfigError, match="Another process is working in"), locked(tmp_path, patience=0):
            pass


def test_a_folder_that_cannot_be_made_is_named_with_a_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KantorError, match=r"Could not write in .*file/x: .*--out"), locked(tmp_path / "file" / "x"):
        pass


def test_an_error_of_who_holds_it_is_not_taken_for_one_of_the_folder(tmp_path):
    with pytest.raises(OSError, match="of the work"), locked(tmp_path):
        raise OSError("of the work")
    with locked(tmp_path, patience=0):
        pass


def test_everything_is_imported_and_locked_without_fcntl_and_resource(tmp_path):
    # As where a file system or a system has no locks: the lock is then that the file is there.
    script = """
import sys, warnings
sys.modules["fcntl"] = sys.modules["resource"] = None
warnings.simplefilter("ignore")
from pathlib import Path
import kantor.cli, kantor.study, kantor.faculty, kantor.analysis, kantor.training.memory
from kantor.core.errors import ConfigError
from kantor.core.locks import locked
from kantor.data.whole_folders import whole_folder
with locked(Path("f")):
    try:
        with locked(Path("f"), patience=0):
            sys.exit("two holders")
    except ConfigError:
        pass
with locked(Path("f"), patience=0), whole_folder(Path("whole")) as folder:
    (folder / "a").touch()
assert Path("whole/a").exists()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_that_refuses_locks(tmp_path, monkeypatch, code):
    """As network folders do; the lock is then that a file is there."""
    fcntl = pytest.importorskip("fcntl")

    def refused(*arguments):
        raise OSError(code, "refused")

    monkeypatch.setattr(fcntl, "flock", refused)
    with locked(tmp_path), pytest.raises(ConfigError, match="Another process is working"), locked(tmp_path, patience=0):
        pass
    with locked(tmp_path, patience=0), whole_folder(tmp_path / "in" / "whole") as folder:
        (folder / "a").touch()
    assert {path.name for path in (tmp_path / "in").iterdir()} == {LOCK, "whole"}
    dead = f"import os, fcntl\ndef refused(*arguments): raise OSError({code}, '')\nfcntl.flock = refused\n"
    dead += "from pathlib import Path\nfrom kantor.core.locks import locked\nwith locked(Path('.')): os._exit(3)"
    assert subprocess.run([sys.executable, "-c", dead], cwd=tmp_path, check=False).returncode == 3
    with locked(tmp_path, patience=2):
        pass


def test_there_is_a_core():
    assert cores() >= 1
