"""Every command on students of every make: what ``distill`` takes, all others take, from any directory."""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from kantor.cli import main

OWN = """
from torch import nn
from torch.nn import functional as F


class Perceptron(nn.Module):
    def __init__(self, num_classes, input_shape, width: int = 12):
        super().__init__()
        self.fc1 = nn.Linear(input_shape[0], width, bias=False)
        self.fc2 = nn.Linear(width, num_classes, bias=False)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


class Small(nn.Module):
    def __init__(self, num_classes, width: int = 4):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, width, 3, 2), nn.Conv2d(width, 2 * width, 3, 2)
        self.classifier = nn.Linear(2 * width, num_classes)

    def forward(self, x):
        return self.classifier(F.relu(self.conv2(F.relu(self.conv1(x)))).mean((2, 3)))
"""


@dataclass(frozen=True)
class Family:
    student: str
    teacher: str
    package: str | None = None
    vectors: bool = False


FAMILIES = {
    "built-in": Family("cnn@width=4", "cnn@width=8"),
    "built-in on vectors": Family("mlp@hidden=8", "mlp@hidden=16", vectors=True),
    "own": Family("nets_of_mine:Small", "nets_of_mine:Small@width=8"),
    "own on vectors": Family("nets_of_mine:Perceptron@width=6", "nets_of_mine:Perceptron", vectors=True),
    "timm": Family("timm:test_resnet", "timm:test_resnet", "timm"),
    "torchvision": Family("torchvision:shufflenet_v2_x0_5", "torchvision:shufflenet_v2_x0_5", "torchvision"),
    "transformers": Family("transformers:vit", "transformers:vit", "transformers"),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where a user works: a module of their own, a checkpoint without weights, and data."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "nets_of_mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(here)
    monkeypatch.chdir(here)
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = random.integers(0, 120, (90, 16, 16, 3)) + 60 * labels[:, None, None, None]
    names = np.array(["ant", "bee", "cow"])
    np.savez(here / "images.npz", x=images.astype(np.uint8), y=labels, class_names=names)
    vectors = random.random((90, 10), np.float32) + labels[:, None].astype(np.float32)
    np.savez(here / "vectors.npz", x=vectors, y=labels, class_names=names)
    yield here
    sys.modules.pop("nets_of_mine", None)


def vit(folder: Path) -> None:
    """A checkpoint's folder without weights: an architecture."""
    from transformers import ViTConfig

    ViTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    ).save_pretrained(folder)


def kantor(*arguments: str) -> None:
    assert main(arguments) == 0, arguments


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_command(name, place, tmp_path, monkeypatch, capsys, request):
    family = FAMILIES[name]
    if family.package:
        if importlib.util.find_spec(family.package) is None:
            pytest.skip(f"needs {family.package}")
        request.getfixturevalue("torchvision_operators")
    if family.package == "transformers":
        vit(place / "vit")
    data = "vectors.npz" if family.vectors else "images.npz"
    few = [f"--data={data}", "--seeds=1", "--epochs=1", "--teacher-epochs=1", "--batch-size=16", "--jobs=1"]
    small = [*few, "--threads", "1", "--student", family.student]
    kantor("distill", *small, "--teacher", family.teacher, "--methods", "none,kd,neuron_transport", "--out", "runs/one")
    run = place / "runs" / "one"
    student = run / "kd" / "seed-0"
    teacher = json.loads((run / "plan.json").read_text())["teachers"]["teacher"]["spec"]
    assert teacher.startswith(f"{family.teacher}:")

    kantor("distill", *small, "--teacher", str(student), "--methods", "kd", "--out", "runs/taught")
    kantor("distill", *small, "--start", "runs/one/kd/seed-{seed}", "--methods", "none", "--out", "runs/further")
    kantor("finetune", *few, "--teacher", str(student), "--methods", "none,l2_sp:0.1", "--out", "runs/tuned")
    kantor("rank", "--data", data, "--teachers", f"{student},{teacher}", "--bootstrap", "0", "--out", "runs/ranked")
    kantor("distill", *small, "--teacher", "best:runs/ranked/ranking.json", "--methods", "kd", "--out", "runs/best")
    bare = place / "bare.safetensors"
    save_file(load_file(student / "student.safetensors"), bare)
    kantor("evaluate", "--model", f"{family.student}:{bare}", "--data", data)
    assert "samples right" in capsys.readouterr().out

    # Whatever reads a run does so from anywhere.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    data = str(place / data)
    kantor("evaluate", str(student))
    kantor("evaluate", str(student), "--data", data)
    kantor("evaluate", "--model", str(student), "--data", data)
    for form, file in (("safetensors", "s.safetensors"), ("torch.export", "s.pt2")):
        kantor("export", str(student), "--format", form, "--output", file)
        assert (elsewhere / file).exists()
    kantor("compare", str(student), str(run / "none" / "seed-0"), "--data", data, "--out", "compared")
    kantor("analyse", str(run))
    kantor("probe", str(run))
    kantor("report", str(run))
    kantor("watch", str(run), "--once")
    (student / "result.json").unlink()
    kantor("resume", str(run))
    assert (student / "result.json").exists()
