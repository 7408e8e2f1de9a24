"""Every command on networks that others wrote for other tasks: it works, or says what it can do."""

import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from kantor.cli import main
from tests.study.texts import running_text, write_llama

THEIRS = """
import torch
from torch import nn
from torch.nn import functional as F


class UNet(nn.Module):
    def __init__(self, num_classes, width: int = 4):
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.down2 = nn.Sequential(nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU())
        self.up1 = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.join = nn.Sequential(nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, x):
        skip = self.down1(x)
        deep = self.down2(F.max_pool2d(skip, 2))
        return self.head(self.join(torch.cat([skip, self.up1(deep)], 1)))


def lraspp(num_classes):
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    return lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=num_classes)


def tagger(num_classes, width: int = 8):
    from transformers import BertConfig, BertForTokenClassification

    config = BertConfig(vocab_size=20, hidden_size=width, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=16, max_position_embeddings=16)
    config.num_labels = num_classes
    return BertForTokenClassification(config)


def language_model(num_classes, width: int = 8):
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(vocab_size=num_classes, n_embd=width, n_layer=2, n_head=2, n_positions=16,
                                      bos_token_id=0, eos_token_id=0))
"""


@dataclass(frozen=True)
class Stranger:
    data: str
    task: str
    student: str
    teacher: str
    says: str
    """How ``evaluate`` begins."""
    methods: str = "none,kd,neuron_transport"
    package: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    """By command, what it says in the place of working."""
    more: tuple[str, ...] = ()
    """Settings of the study."""
    cut_for_both: bool = False
    """Pieces of text are cut for the teacher's tokenizer too, so that elsewhere they are others."""


RANKED = {"rank": r"teachers are ranked by a class a sample\. For numbers and several labels a sample there is logme"}
NO_PROBE = {"probe": r"next_token has no probe.*Compare students by `kantor evaluate`"}
STRANGERS = {
    "numbers of vectors": Stranger(
        "numbers.npz", "regression", "mlp@hidden=8", "mlp@hidden=16", r"RMSE [\d.]+, R2", "none,neuron_transport"
    ),
    "numbers of images by transformers": Stranger(
        "brightness.npz", "regression", "transformers:vit", "transformers:vit", r"RMSE [\d.]+, R2",
        "none,neuron_transport", "transformers",
    ),
    "several labels": Stranger(
        "several.npz", "several_labels", "mlp@hidden=8", "mlp@hidden=16", r"F1 [\d.]+ %, macro F1",
        "none,neuron_transport",
    ),
    "maps by one's own network": Stranger(
        "maps.npz", "dense_labels", "nets_of_theirs:UNet", "nets_of_theirs:UNet@width=8", r"mIoU [\d.]+ %, pixel",
        refused=RANKED,
    ),
    "maps by torchvision": Stranger(
        "maps.npz", "dense_labels", "nets_of_theirs:lraspp", "nets_of_theirs:lraspp", r"mIoU [\d.]+ %, pixel",
        "none,neuron_transport", "torchvision", RANKED,
    ),
    "a class for every token": Stranger(
        "tags.npz", "token_classification", "nets_of_theirs:tagger", "nets_of_theirs:tagger@width=16",
        r"[\d.]+ % of \d+ labels of 24 test samples right", package="transformers", refused=RANKED,
    ),
    "the next token": Stranger(
        "text.npz", "next_token", "nets_of_theirs:language_model", "nets_of_theirs:language_model@width=16",
        r"perplexity [\d.]+, [\d.]+ % right on 24", package="transformers",
        refused=RANKED | NO_PROBE,
    ),
    "running text": Stranger(
        "books", "next_token", "gpt@dim=8@depth=1@heads=1", "gpt@dim=16@depth=2@heads=1",
        r"bits per byte [\d.]+, perplexity", refused=RANKED | NO_PROBE, more=("--max-length=24",),
    ),
    "running text by transformers, of two tokenizers": Stranger(
        "books", "next_token", "gpt@dim=8@depth=2@heads=1", "transformers:llama", r"bits per byte [\d.]+, perplexity",
        "none,neuron_transport", "transformers", RANKED | NO_PROBE, ("--tokenizer=bpe:320", "--max-length=24"),
        True,
    ),
}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where they work: a module of their own, an architecture of transformers, and data of every kind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "nets_of_theirs.py").write_text(THEIRS)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 16, 16, 3)).astype(np.uint8)
    maps = (images[..., 0] > 120).astype(np.int64) + (images[..., 0] > 200)
    maps[:, 0] = 255
    np.savez("maps.npz", x=images, y=maps, class_names=["sky", "road", "tree"])
    np.savez("brightness.npz", x=images, y=images.mean((1, 2, 3)) / 255)
    x = random.normal(size=(60, 10)).astype(np.float32)
    hidden = np.tanh(x @ random.normal(size=(10, 3)))
    np.savez("numbers.npz", x=x, y=hidden.sum(1))
    np.savez("several.npz", x=x, y=(hidden > 0.2).astype(int), class_names=["a", "b", "c"])
    tokens = random.integers(1, 20, (60, 12))
    np.savez("tags.npz", input_ids=tokens, y=np.where(tokens < 5, -100, tokens % 4))
    np.savez("text.npz", input_ids=tokens)
    (tmp_path / "books").mkdir()
    for part, words in (("train", 1200), ("test", 400)):
        (tmp_path / "books" / f"{part}.txt").write_text(running_text(words, len(part)), encoding="utf-8")
    yield tmp_path
    sys.modules.pop("nets_of_theirs", None)


def vit(folder: Path) -> None:
    """A checkpoint's folder without weights: an architecture."""
    from transformers import ViTConfig

    ViTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    ).save_pretrained(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGERS)
def test_every_command(name, place, capsys, request):
    stranger = STRANGERS[name]
    if stranger.package:
        if importlib.util.find_spec(stranger.package) is None:
            pytest.skip(f"needs {stranger.package}")
        request.getfixturevalue("torchvision_operators")
    if stranger.package == "transformers":
        vit(place / "vit")
        write_llama(place / "llama", more_logits=20)

    def kantor(command: str, *arguments: str) -> bool:
        """Whether it worked; else it said what was expected of it."""
        capsys.readouterr()
        expected = stranger.refused.get(command)
        assert main([command, *arguments]) == (2 if expected else 0), (command, *arguments)
        if expected:
            assert re.search(expected, " ".join(capsys.readouterr().err.split()))
        return expected is None

    data = ["--data", stranger.data, "--task", stranger.task]
    few = [*data, "--seeds=1", "--epochs=1", "--teacher-epochs=1", "--batch-size=12", "--jobs=1", "--threads=1"]
    student = ["--student", stranger.student]
    run, last = Path("runs/one"), stranger.methods.rpartition(",")[2]
    kantor(
        "distill",
        *few,
        *stranger.more,
        *student,
        "--teacher",
        stranger.teacher,
        "--methods",
        stranger.methods,
        f"--out={run}",
    )
    trained, alone = str(run / last / "seed-0"), str(run / "none" / "seed-0")

    kantor("evaluate", trained)
    own = capsys.readouterr().out
    assert re.match(stranger.says, own)
    for other in ([trained, "--data", stranger.data], ["--model", trained, *data]):
        kantor("evaluate", *other)
        said = capsys.readouterr().out
        assert said == own or (stranger.cut_for_both and re.match(stranger.says, said))
    kantor("compare", trained, alone, *data, "--out=runs/compared")
    if kantor("rank", *data, "--teachers", f"{trained},{alone}", "--bootstrap=0", "--out=runs/ranked"):
        best = ["--teacher=best:runs/ranked/ranking.json", "--methods=neuron_transport", "--out=runs/best"]
        kantor("distill", *few, *student, *best)
    if kantor("probe", str(run)):
        found = json.loads((run / "probe.json").read_text())
        kantor("probe", str(run), "--data", stranger.data)
        assert json.loads((run / "probe.json").read_text()) == found
    kantor("analyse", str(run))
    for form, file in (("safetensors", "s.safetensors"), ("torch.export", "s.pt2")):
        kantor("export", trained, "--format", form, "--output", file)
        assert Path(file).exists()
    kantor("finetune", *few, "--teacher", alone, "--methods=none,l2_sp:0.1", "--out=runs/tuned")
    further = ["--start=runs/one/none/seed-{seed}", "--methods=neuron_transport", "--out=runs/further"]
    kantor("distill", *few, *student, "--teacher", alone, *further)
    (Path(trained) / "result.json").unlink()
    kantor("resume", str(run))
    assert (Path(trained) / "result.json").exists()
    kantor("evaluate", trained)
    assert capsys.readouterr().out == own
    kantor("report", str(run))
    kantor("watch", str(run), "--once")


def test_an_array_of_tokens_that_is_called_something_else_is_said(place, capsys):
    with np.load("tags.npz") as held:
        np.savez("unnamed.npz", x=held["input_ids"], y=held["y"])
    (place / "nets_of_theirs.py").write_text(
        "from torch import nn\n\ndef looked_up(num_classes):\n"
        "    return nn.Sequential(nn.Embedding(20, 4), nn.Linear(4, num_classes))\n"
    )
    given = ["--data=unnamed.npz", "--task=token_classification", "--student=nets_of_theirs:looked_up"]
    assert main(["distill", *given, "--methods=none", "--seeds=1", "--epochs=1", "--jobs=1", "--out=runs/one"]) == 2
    assert "an array of tokens is called input_ids" in " ".join(capsys.readouterr().err.split())
