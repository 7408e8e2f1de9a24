"""The files of a module and of what it imports, found without an import."""

import sys

import pytest

from kantor.core.module_files import module_files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write(folder, **sources: str) -> None:
    for name, text in sources.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_what_is_imported_to_any_depth_and_in_any_form(folder):
    write(
        folder,
        mf_top="import mf_plain, torch, json\nimport mf_pack.deep as d\ndef f():\n    from mf_late import thing\n",
        mf_plain="from mf_names import CONSTANT\nimport mf_top\n",  # a circle
        mf_names="CONSTANT = 1",
        mf_late="thing = 2",
        mf_pack__init="",
        mf_pack__deep="from . import beside\nfrom .below import x\nfrom .. import mf_plain\n",
        mf_pack__beside="",
        mf_pack__below="x = 3",
    )
    (folder / "mf_pack" / "init.py").rename(folder / "mf_pack" / "__init__.py")
    found = module_files("mf_top")
    inside = {"mf_pack", "mf_pack.deep", "mf_pack.beside", "mf_pack.below"}
    assert set(found) == {"mf_top", "mf_plain", "mf_names", "mf_late"} | inside
    assert found["mf_pack.below"] == folder / "mf_pack" / "below.py"
    assert not {"mf_top", "mf_plain", "mf_pack"} & set(sys.modules), "nothing was imported"


def test_what_was_installed_is_named_and_looked_at_no_further(folder):
    assert set(module_files("yaml")) == {"yaml"}


@pytest.mark.parametrize("name", ["site-packages", "dist-packages"])
def test_packages_of_the_user_or_of_the_system_were_installed_too(folder, monkeypatch, name):
    (folder / name).mkdir()
    monkeypatch.syspath_prepend(folder / name)
    write(folder, mf_mine="import mf_theirs")
    (folder / name / "mf_theirs.py").write_text("")
    assert set(module_files("mf_mine")) == {"mf_mine"}


@pytest.mark.parametrize("text", ["import mf_nowhere", "def broken(:", "from .. import above", "from . import mf_x"])
def test_a_module_that_imports_what_is_not_there(folder, text):
    write(folder, mf_odd=text)
    assert set(module_files("mf_odd")) == {"mf_odd"}


@pytest.mark.parametrize("name", ["mf_none", "mf_none.deep", "sys"])
def test_no_module_or_no_file(folder, name):
    assert module_files(name) == {}
