"""What CONTRIBUTING.md shows in full works: each file beside its test."""

import re
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
FILES = {
    path: f"# {path}\n{code}"
    for path, code in re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)
}
SOURCES = [path for path in FILES if path.startswith("src/")]


def module(path: str) -> str:
    return ".".join(Path(path).with_suffix("").parts[1:])


@pytest.mark.parametrize("path", SOURCES)
def test_a_file_passes_the_test_that_is_shown_beside_it(path, monkeypatch):
    made = types.ModuleType(module(path))
    monkeypatch.setitem(sys.modules, module(path), made)
    exec(compile(FILES[path], path, "exec"), made.__dict__)
    (test,) = (name for name in FILES if name.endswith(f"/test_{Path(path).name}"))
    assert Path(test).parts[1:-1] == Path(path).parts[2:-1], "tests mirror the sources"
    scope: dict[str, object] = {"__name__": "shown"}
    exec(compile(FILES[test], test, "exec"), scope)
    tests = [check for name, check in scope.items() if name.startswith("test_") and callable(check)]
    assert len(tests) > 1
    for check in tests:
        check()


def test_the_lists_and_pages_that_it_names_are_there():
    for path in re.findall(r"`((?:src|docs|tests)/[\w/.-]+\.(?:py|md))`", TEXT):
        assert (ROOT / path).exists(), path
