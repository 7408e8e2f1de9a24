"""A teacher's smaller networks, by the command."""

import re

import numpy as np
import pytest
import torch

import kantor
from kantor.cli import main
from kantor.study.afterwards.prune import WAYS


@pytest.fixture
def teacher(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    kantor.load("cnn@width=16", classes=10, input_shape=(1, 8, 8)).save("teacher.safetensors")
    return "cnn@width=16:teacher.safetensors"


def test_every_way_leaves_a_student_that_a_study_can_start_from(teacher, tmp_path, capsys):
    assert main(["prune", teacher, "--keep", "4", "--data", "digits", "--samples", "100", "--steps", "5"]) == 0
    said = capsys.readouterr().out
    for way in WAYS:
        file = tmp_path / "runs" / "pruned" / f"{way}.safetensors"
        assert f"cnn@width=4 by {way}" in said and file.exists()
        small = kantor.load(f"cnn@width=4:{file}")
        assert small.num_classes == 10
    assert "7 of 28" in said and "test samples right before any training" in said
    before = (tmp_path / "runs" / "pruned" / "topk.safetensors").read_bytes()
    assert main(["prune", teacher, "--keep", "8", "--data", "digits"]) == 2
    assert "is there already. Name another folder by --out" in capsys.readouterr().err
    assert (tmp_path / "runs" / "pruned" / "topk.safetensors").read_bytes() == before
    line = next(line for line in said.splitlines() if line.startswith("Next: kantor "))
    few = ["--methods", "none", "--seeds", "1", "--epochs", "1", "--train-limit", "60", "--out", "runs/next"]
    assert main([*line.removeprefix("Next: kantor ").split(), *few, "--device", "cpu", "--jobs", "1"]) == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "Give either --keep WIDTH"),
        (["--keep", "4", "--student", "cnn@width=4"], "Give either --keep WIDTH"),
        (["--keep", "16"], "is no smaller than the teacher"),
        (["--keep", "0"], "--keep is a width above 0"),
        (["--student", "cnn@width=4:teacher.safetensors"], "names weights, which would be overwritten"),
        (["--keep", "4", "--out", "teacher.safetensors"], "is a file, and a folder is needed"),
        (["--keep", "4", "--seed", "9" * 40], "--seed is from 0"),
        (["--keep", "4", "--samples", "9" * 40], "--samples is from 2"),
        (["--student", "cnn@width=4", "--by", "topk,luck"], "--by: there is no 'luck'"),
        (["--student", "resnet8@width=0.125"], "has no counterpart|make"),
        (["--keep", "4", "--steps", "0"], "--steps is from 1"),
    ],
)
def test_what_cannot_be_made_is_said(teacher, capsys, given, said):
    assert main(["prune", teacher, "--data", "digits", *given]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_data_without_labels_and_networks_without_a_width(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("bare.npz", x_train=np.random.default_rng(0).random((60, 6), dtype=np.float32))
    torch.manual_seed(0)
    kantor.load("mlp@hidden=16@normalise=none", classes=3, input_shape=(6,)).save("mlp.safetensors")
    few = ["--data", "bare.npz", "--task", "none", "--by", "topk,topk,random", "--steps", "3", "--out"]
    assert main(["prune", "mlp.safetensors", "--student", "mlp@hidden=4@normalise=none", *few, "a folder"]) == 0
    said = capsys.readouterr().out
    assert (
        "Next: kantor distill" in said and "'mlp@hidden=4@normalise=none:a folder/topk.safetensors' --task none" in said
    )
    assert said.count("by topk") == 1
    assert main(["prune", "mlp.safetensors", "--keep", "4", *few, "other"]) == 2
    assert "Name the smaller mlp by --student" in capsys.readouterr().err


def test_of_a_factor_of_widths(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kantor.load("resnet8@width=0.25", classes=10, input_shape=(1, 8, 8)).save("r.safetensors")
    more = ["--keep", "0.125", "--data", "digits", "--by", "magnitude", "--samples", "40"]
    assert main(["prune", "r.safetensors", *more]) == 0
    assert "resnet8@width=0.125 by magnitude" in capsys.readouterr().out
