import os

import numpy as np
import pytest

from kantor.core.user_cache import kept_beside
from kantor.data import kept_listing
from kantor.data.kept_listing import forget_listing, listing_of
from kantor.data.layout import is_image


@pytest.fixture
def kept(folder, monkeypatch):
    """A folder left alone for an hour, whose listing is kept; its scans are counted."""
    monkeypatch.setattr(kept_listing, "WORTHWHILE", 1)
    for place in (folder, *folder.rglob("*")):
        os.utime(place, (place.stat().st_mtime - 3600,) * 2)
    scans, scan = [], kept_listing.scanned
    monkeypatch.setattr(kept_listing, "scanned", lambda *given: scans.append(1) or scan(*given))
    return folder, scans


def test_a_folder_is_listed_once_and_held_the_same(kept):
    folder, scans = kept
    one, two = listing_of(folder, is_image), listing_of(folder, is_image)
    assert len(scans) == 1
    assert (two.names, two.folders, two.listed) == (one.names, one.folders, one.listed)
    assert np.array_equal(two.sizes, one.sizes) and np.array_equal(two.stamps, one.stamps)


@pytest.mark.parametrize("change", ["add", "remove", "rename", "forget", "damage"])
def test_what_changed_is_listed_anew(kept, change):
    folder, scans = kept
    listing_of(folder, is_image)
    if change == "add":
        (folder / "train/dog/new.png").write_bytes(b"x")
    elif change == "remove":
        (folder / "train/cat/00.png").unlink()
    elif change == "rename":
        (folder / "train/cat").rename(folder / "train/lynx")
    elif change == "forget":
        forget_listing(folder)
    else:
        path = kept_beside(folder, "listings", ".npz")
        path.write_bytes(path.read_bytes()[:-40])
    again = listing_of(folder, is_image)
    assert len(scans) == 2
    assert sorted(again.names) == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_what_was_written_a_moment_ago_is_not_kept(kept):
    folder, scans = kept
    (folder / "train/dog/new.png").write_bytes(b"x")
    listing_of(folder, is_image)
    listing_of(folder, is_image)
    assert len(scans) == 2
    assert not kept_beside(folder, "listings", ".npz").exists()
