import os

import pytest

from kantor.core.errors import DataError
from kantor.data.layout import is_image
from kantor.data.listing import UNKNOWN, of_archive, scanned


def test_files_lie_in_their_folders_with_size_and_date(folder):
    (folder / "train/.hidden").write_text("x")
    (folder / "notes.txt").write_text("four")
    listing, folders = scanned(folder, is_image)
    assert [found.name for found in folders] == ["", "train/", "train/cat/", "train/dog/"]
    assert len(listing.names) == 17 and listing.names[0] == "notes.txt" and listing.sizes[0] == 4
    for name, places in listing.folders.items():
        assert all(listing.names[k].rpartition("/")[0] == name.rstrip("/") for k in places)
    for name, size, stamp in zip(listing.names, listing.sizes, listing.stamps, strict=True):
        known = (folder / name).stat()
        assert (known.st_size, known.st_mtime_ns) == (size, stamp)


def test_a_link_that_leads_nowhere_has_no_size_and_a_circle_is_refused(folder):
    (folder / "train/cat/99.png").symlink_to(folder / "gone.png")
    listing, _ = scanned(folder, is_image)
    assert listing.sizes[listing.names.index("train/cat/99.png")] == UNKNOWN
    (folder / "train/dog/again").symlink_to(folder)
    with pytest.raises(DataError, match="links to"):
        scanned(folder, is_image)


def test_a_pipe_is_refused_where_an_image_is_to_be(folder):
    os.mkfifo(folder / "train/cat/pipe")
    scanned(folder, is_image)
    os.mkfifo(folder / "train/cat/pipe.png")
    with pytest.raises(DataError, match="no plain file"):
        scanned(folder, is_image)


def test_an_archive_knows_folders_that_are_named_alone():
    listing = of_archive(["a/", "a/1.png", "b/c/2.png", "b/3.png", "0.png"])
    assert listing.folders == {"a/": [1], "b/c/": [2], "b/": [3], "": [4]}
    assert listing.listed == {"a/"}
