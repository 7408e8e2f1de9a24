"""A torchvision that cannot be imported seems not to be there, and only while it must."""

import importlib
import sys

import pytest

from kantor.models.torchvision_unseen import torchvision_unseen


@pytest.fixture
def torchvision(tmp_path, monkeypatch):
    """Installs a torchvision of such a content, and forgets the real one for the time of the test."""

    def install(content: str) -> None:
        (tmp_path / "torchvision").mkdir()
        (tmp_path / "torchvision" / "__init__.py").write_text(content)
        importlib.invalidate_caches()

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    yield install
    sys.modules.pop("torchvision", None)


@pytest.mark.parametrize("error", ["RuntimeError('no operator')", "OSError('no library')", "AttributeError('x')"])
def test_a_broken_one_is_missing_inside_and_broken_again_after(torchvision, error):
    torchvision(f"raise {error}")
    with torchvision_unseen(), pytest.raises(ModuleNotFoundError):
        importlib.import_module("torchvision")
    assert "torchvision" not in sys.modules
    with pytest.raises(type(eval(error))):
        importlib.import_module("torchvision")


def test_one_that_works_is_seen(torchvision):
    torchvision("version = 'mine'")
    with torchvision_unseen():
        assert importlib.import_module("torchvision").version == "mine"
    assert sys.modules["torchvision"].version == "mine"  # type: ignore[attr-defined]


def test_it_is_put_right_after_an_error_too(torchvision):
    torchvision("raise RuntimeError")
    with pytest.raises(KeyError), torchvision_unseen():
        raise KeyError
    assert "torchvision" not in sys.modules
