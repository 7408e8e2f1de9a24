"""What is missing is installed; what is broken is said as it is."""

import importlib
import subprocess
import sys

import pytest

from kantor.core.errors import ConfigError
from kantor.core.optional import optional

BREAKS = [
    "raise ImportError('DLL load failed')",
    "raise RuntimeError('operator x::nms does not exist')",
    "raise OSError('libcudart.so.12: cannot open shared object file')",
    "import math; math.no_such_thing",
]


def test_what_is_missing_names_the_extra():
    said = pytest.raises(ConfigError, match=r"^It needs nowhere: pip install 'kantor\[extra\]'\. Or else\.$")
    with said, optional("It needs nowhere", "extra", "Or else."):
        importlib.import_module("nowhere_at_all")


@pytest.mark.parametrize("text", BREAKS)
def test_what_is_broken_says_why_and_not_to_install_it(tmp_path, monkeypatch, text):
    (tmp_path / "broken_package.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    broken = pytest.raises(ConfigError, match="what is installed cannot be imported: ")
    with broken as said, optional("It needs broken_package", "extra"):
        importlib.import_module("broken_package")
    assert "pip install" not in str(said.value)


@pytest.mark.parametrize(
    ("package", "data"), [("pyarrow", "table.csv"), ("sklearn", "digits"), ("tokenizers", "t.csv")]
)
def test_readers_of_data_say_so(tmp_path, package, data):
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(BREAKS[0])
    (tmp_path / "table.csv").write_text("a,label\n1,x\n2,y\n")
    (tmp_path / "t.csv").write_text("text,label\na,x\nb,y\n")
    tokenizer = "tokenizers={'student': kantor.data.tokenizer.Tokenizer.of('{}', 8, 'here')}" * (
        package == "tokenizers"
    )
    code = f"import kantor, kantor.data.tokenizer; kantor.open_data({data!r}, {tokenizer})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "ConfigError" in done.stderr and "cannot be imported: DLL load failed" in done.stderr


def test_a_broken_numba_is_said_and_done_without(tmp_path):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text(BREAKS[2])
    code = (
        "import torch, warnings; from kantor import ot\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always'); found = ot.solve(torch.rand(6, 5), epsilon=0.1)\n"
        "    ot.solve(torch.rand(6, 5), epsilon=0.1)\n"
        "assert found.converged\n"
        "texts = [str(x.message) for x in said if 'numba' in str(x.message)]\n"
        "assert len(texts) == 1 and 'importing it fails (libcudart.so.12: cannot open' in texts[0], texts"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
