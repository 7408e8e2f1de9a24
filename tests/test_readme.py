"""What the README shows works."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kantor
from kantor.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python(number, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[number], f"README.md, python block {number}", "exec"), {})


def test_commands_parse():
    from kantor.cli import _parser

    commands = _commands()
    assert len(commands) >= 4
    parser, _ = _parser()
    for command in commands:
        parser.parse_args(command)


def _commands() -> list[list[str]]:
    lines = "\n".join(blocks("sh")).replace("\\\n", "").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("kantor ")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Small files under the README's names: images of ten classes, weights with names, word vectors."""
    here = tmp_path_factory.mktemp("readme")
    words = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"]
    rng = np.random.default_rng(0)
    for part, number in (("train", 24), ("test", 6)):
        for k, word in enumerate(words):
            folder = here / "DIR" / part / word
            folder.mkdir(parents=True)
            for i in range(number):
                pixels = rng.integers(0, 100, (16, 16, 3)) + 15 * k
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    for name, file in (("resnet20", "A.safetensors"), ("resnet56", "B.safetensors"), ("resnet56", "FILE")):
        kantor.load(name, classes=words, input_shape=(3, 16, 16)).save(here / file)
    np.savez(here / "VECTORS.npz", words=np.array(words), vectors=rng.normal(size=(10, 8)).astype(np.float32))
    (here / "CLASSES.txt").write_text("\n".join(words))
    return here


@pytest.mark.slow
def test_commands_run_as_written(place, monkeypatch):
    """In order, on small data: what one leaves is what the next reads."""
    monkeypatch.chdir(place)
    (place / "FILE").rename(place / "FILE.safetensors")
    last = {"distill": "", "rank": ""}
    shared = {"resnet56:FILE": "resnet56:FILE.safetensors"}
    for number, written in enumerate(_commands()):
        words = [shared.get(word, word) for word in written]
        kind = "rank" if "ranking.json" in " ".join(words) else "distill"
        words = [word.replace("runs/NAME", last[kind]) for word in words]
        if words[0] in ("distill", "finetune", "rank"):
            last["rank" if words[0] == "rank" else "distill"] = out = f"runs/{number}"
            words += ["--out", out]
        if words == ["demo"]:
            words += ["--seeds=1", "--out=runs/demo"]
        if words[0] in ("distill", "finetune"):
            words += ["--epochs=1", "--teacher-epochs=1", "--seeds=1", "--jobs=1", "--threads=1"]
        assert main(words) == 0, words


def test_links_lead_somewhere():
    targets = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert targets
    for target in targets:
        assert (Path(__file__).parents[1] / target).exists(), target
