"""The examples that a stranger pastes: short, and each runs in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "loops"
SAYS = {
    "trainer": "kd+neuron_transport 0.",
    "lightning_module": "kd+neuron_transport 0.",
    "lightning_callback": "right: 0.",
    "accelerate_loop": "1 processes",
    "timm_task": "15 {'loss': ",
    "segmentation": "right: 0.",
    "detection": "loss on new images: ",
    "sentence_embeddings": "similarities agree: 0.",
    "sentence_trainer": "similarities agree: 0.",
}
"""What a run prints, in part."""
SEVERAL = {"accelerate_loop": "2 processes", "fsdp2": "2 processes"}
"""The same of two processes."""
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def run(name: str, folder: Path, *launch: str) -> str:
    """What an example prints, run in ``folder``."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launch, str(Path(__file__).with_name("run_example.py")), str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return done.stdout


def test_examples_are_short_and_each_is_run():
    found = {path.stem: path.read_text("utf-8").splitlines() for path in EXAMPLES.glob("*.py")}
    assert {name: len(lines) for name, lines in found.items() if len(lines) > 40} == {}
    assert set(found) == {*SAYS, *SEVERAL}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_example(name, tmp_path):
    assert SAYS[name] in run(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEVERAL)
def test_example_in_two_processes(name, tmp_path):
    assert SEVERAL[name] in run(name, tmp_path, *TWO)
