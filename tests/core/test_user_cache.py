from kantor.core.user_cache import kept_beside


def test_every_place_has_a_file_of_its_own_and_a_link_that_of_its_target(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    one = kept_beside(tmp_path / "a", "listings", ".npz")
    assert one is not None and one.parent == tmp_path / "cache/kantor/listings" and one.suffix == ".npz"
    assert kept_beside(tmp_path / "link", "listings", ".npz") == one
    assert kept_beside(tmp_path, "listings", ".npz") != one


def test_without_a_home_nothing_is_kept(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", homeless)
    assert kept_beside(tmp_path, "listings", ".npz") is None
