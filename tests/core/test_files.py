import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kantor.core.errors import ConfigError, DataError, KantorError
from kantor.core.files import atomic, is_file, read_npz, refuse_shared, remove_partial, write_json, write_text


def test_a_failure_leaves_what_was_there_and_no_litter(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"accuracy": 0.5})
    with pytest.raises(ZeroDivisionError), atomic(path) as file:
        file.write(b"half of")
        raise ZeroDivisionError
    assert json.loads(path.read_text()) == {"accuracy": 0.5}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_a_full_disk_is_said_with_the_remedy(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    write_text(path, "good")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KantorError, match=r"No space left.*intact.*kantor resume"):
        write_text(path, "never seen")
    assert path.read_text() == "good"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KantorError, match="file/run"):
        write_text(tmp_path / "file" / "run" / "x.json", "{}")


def test_what_a_killed_writer_left_is_removed(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from kantor.core.files import atomic\n"
        "with atomic(Path(sys.argv[1])) as f: f.write(b'half'); f.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    (tmp_path / "plans").mkdir()
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "plans" / "x.npz")])
    write_text(tmp_path / "plans" / "y.npz", "whole")
    assert len(list((tmp_path / "plans").iterdir())) == 2
    remove_partial(tmp_path)
    assert [p.name for p in (tmp_path / "plans").iterdir()] == ["y.npz"]


def test_json_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_a_reader_never_sees_half(tmp_path):
    """Readers during a hundred writes see whole old or whole new content."""
    import threading

    path = tmp_path / "x"
    write_text(path, "a" * 100_000)
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            text = Path(path).read_text()
            seen.add(f"{text[0]}{len(text)}{len(set(text))}")

    reader = threading.Thread(target=read)
    reader.start()
    for k in range(100):
        write_text(path, "ab"[k % 2] * 100_000)
    stop.set()
    reader.join()
    assert seen <= {"a1000001", "b1000001"}


def test_a_folder_of_another_kind_is_refused(tmp_path):
    refuse_shared(tmp_path, "ranking.json")
    write_json(tmp_path / "ranking.json", {})
    refuse_shared(tmp_path, "ranking.json")
    with pytest.raises(ConfigError, match="holds a ranking"):
        refuse_shared(tmp_path, "compare.json")
    with pytest.raises(ConfigError, match=r"ranking\.json is a file, and a folder is needed"):
        refuse_shared(tmp_path / "ranking.json" / "below", "compare.json")


def test_files_and_folders_are_for_whom_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new" / "a.txt", "x")
        assert stat.S_IMODE((tmp_path / "new" / "a.txt").stat().st_mode) == 0o640
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o750
        os.umask(0o022)
        write_text(tmp_path / "new" / "a.txt", "y")
        assert stat.S_IMODE((tmp_path / "new" / "a.txt").stat().st_mode) == 0o644
    finally:
        os.umask(before)


def test_a_byte_that_is_no_character_does_not_end_a_page(tmp_path):
    write_text(tmp_path / "a.html", os.fsdecode(b"class \xff"))
    assert (tmp_path / "a.html").read_text() == "class ?"


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 no zip either"])
def test_what_is_no_npz_is_said_with_the_callers_remedy(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npz cannot be read as an npz: .*\. Copy it again\.$"):
        read_npz(path, "Copy it again.")


def test_no_file_has_a_name_that_none_can_have(tmp_path):
    assert not is_file(tmp_path / ("a" * 5000)) and not is_file(tmp_path / "a\0b")
    (tmp_path / "a").write_text("")
    assert is_file(tmp_path / "a") and not is_file(tmp_path)
