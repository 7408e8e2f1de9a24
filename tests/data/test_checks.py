import numpy as np
import pytest

from kantor.core.user_cache import kept_beside
from kantor.data import checks
from kantor.data.checks import COLOUR, CORRUPT, GOOD, LOOKED, Checks
from kantor.data.folders import Files


@pytest.fixture
def files(tmp_path, image_bytes) -> Files:
    """Two images in colour, a grey one, and one that is damaged."""
    contents = [image_bytes(0), image_bytes(1), image_bytes(2, (7, 4), grey=True), b"no image"]
    for k, content in enumerate(contents):
        (tmp_path / f"{k}.png").write_bytes(content)
    return Files(tmp_path, [f"{k}.png" for k in range(4)])


def again(files: Files) -> Files:
    return Files(files.root, files.names)


@pytest.fixture
def looks(monkeypatch) -> list[int]:
    counted, look = [], checks.opened
    monkeypatch.setattr(checks, "opened", lambda content: counted.append(1) or look(content))
    return counted


def test_every_image_is_looked_at_once(files, looks):
    told = []
    found = Checks(files)
    assert not found.flags.any()
    found.complete(lambda done, total: told.append((done, total)))
    for known in (found, Checks(again(files))):
        assert known.flags.tolist() == [GOOD | LOOKED | COLOUR, GOOD | LOOKED | COLOUR, GOOD | LOOKED, CORRUPT]
        assert known.sides.tolist() == [[6, 5], [6, 5], [7, 4], [0, 0]]
        assert list(known.reasons) == [3] and "3.png (no image" in known.reasons[3]
        known.complete()
    assert len(looks) == 4 and told[-1] == (4, 4)


def test_a_file_that_changed_is_looked_at_anew(files, looks, image_bytes):
    Checks(files).complete()
    (files.root / "3.png").write_bytes(image_bytes(5))
    changed = Checks(again(files))
    assert (changed.flags > 0).tolist() == [True, True, True, False]
    changed.complete()
    assert len(looks) == 5 and not changed.reasons


def test_a_killed_look_goes_on_where_it_was(files, looks, monkeypatch):
    monkeypatch.setattr(checks, "_CHUNK", 1)
    monkeypatch.setattr(checks, "cores", lambda: 1)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Checks(files).complete(stop)
    before = len(looks)
    rest = Checks(again(files))
    assert 2 <= (rest.flags > 0).sum() <= before
    rest.complete()
    assert (rest.flags > 0).all() and len(looks) <= 6


def test_what_several_find_is_kept_together_and_damage_is_forgotten(files):
    Checks(files.take(np.array([0]))).remember(np.array([0]), np.array([GOOD], np.uint8))
    Checks(files.take(np.array([2]))).remember(np.array([0]), np.array([GOOD | LOOKED], np.uint8))
    assert Checks(again(files)).flags.tolist() == [GOOD, 0, GOOD | LOOKED, 0]
    path = kept_beside(files.root, "checks", ".npz")
    path.write_bytes(b"damaged")
    assert not Checks(again(files)).flags.any()


def test_without_a_home_all_is_looked_at(files, looks, monkeypatch):
    monkeypatch.setattr(checks, "kept_beside", lambda *_: None)
    found = Checks(files)
    found.complete()
    assert len(looks) == 4 and (found.flags > 0).all()
