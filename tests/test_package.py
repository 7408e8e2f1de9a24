"""What is built from the sources: wheel and sdist hold what they should, and the wheel works where it is alone."""

import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def done(*command: str | Path, folder: Path) -> str:
    """What a command printed, run in ``folder`` without the settings of this process' Python."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    ended = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"
    return ended.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the sdist."""
    pytest.importorskip("hatchling", reason="needs hatchling, which the extra dev brings")
    folder = tmp_path_factory.mktemp("dist")
    done(sys.executable, "-m", "hatchling", "build", "--directory", folder, folder=ROOT)
    return folder


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        found = {name for name in content.namelist() if ".dist-info/" not in name}
    files = (path.relative_to(ROOT / "src") for path in (ROOT / "src" / "kantor").rglob("*") if path.is_file())
    assert found == {path.as_posix() for path in files if "__pycache__" not in path.parts}
    assert {"kantor/py.typed", "kantor/report/templates/run.html"} <= found


def test_the_sdist_builds_the_same_wheel(built, tmp_path):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as content:
        content.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    held = {path.name for path in folder.iterdir()}
    assert held == {
        "CHANGELOG.md", "CITATION.cff", "LICENSE", "PKG-INFO", "README.md", "SECURITY.md", "constraints.txt",
        "pyproject.toml", "src",
    } | ({".gitignore"} & held)  # fmt: skip
    done(sys.executable, "-m", "hatchling", "build", "--directory", tmp_path / "again", folder=folder)
    one, other = (next(place.glob("*.whl")).read_bytes() for place in (built, tmp_path / "again"))
    assert one == other


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    bin_ = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    done(bin_ / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", f"{wheel}[digits]", folder=tmp_path)
    version = importlib.metadata.version("kantor")
    place = done(bin_ / "python", "-c", "import kantor; print(kantor.__file__); kantor.Objective", folder=tmp_path)
    assert Path(place.strip()).is_relative_to(tmp_path)
    assert version in done(bin_ / "kantor", "--version", folder=tmp_path)
    assert "neuron_transport" in done(bin_ / "kantor", "methods", folder=tmp_path)
    assert "[plots]                missing matplotlib" in done(bin_ / "kantor", "doctor", folder=tmp_path)
    (tmp_path / "empty").mkdir()
    said = done(bin_ / "kantor", "demo", "--seeds", "1", folder=tmp_path / "empty")
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["runs"]
    run = tmp_path / "empty" / "runs" / "demo"
    assert (run / "report.html").read_text("utf-8").startswith("<!doctype html>")
    result = json.loads((run / "neuron_transport" / "seed-0" / "result.json").read_text("utf-8"))
    assert result["epochs"] == 60 and sum(map(sum, result["confusion"])) == 360
    for command in said.splitlines()[-1].removeprefix("Next: kantor ").split("; kantor "):
        done(bin_ / "kantor", *command.split(), folder=tmp_path / "empty")
