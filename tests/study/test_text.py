"""Text classifiers through every command: a teacher and students of other tokenizers, one data set of texts."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import kantor
from kantor.cli import main
from tests.study.texts import write_bert, write_tsv

pytest.importorskip("tokenizers", reason="texts need the extra text")
pytest.importorskip("transformers", reason="the teacher is a BERT of transformers")
pytest.importorskip("pyarrow", reason="tables of texts are read by pyarrow")

FEW = ["--seeds=1", "--epochs=1", "--batch-size=16", "--jobs=1", "--threads=1", "--optimizer=adamw", "--lr=0.01"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, torchvision_operators):
    monkeypatch.chdir(tmp_path)
    write_tsv(tmp_path / "films")
    write_bert(tmp_path / "bert")
    return tmp_path


def run(*arguments: str) -> None:
    assert main(arguments) == 0, arguments


def refused(capsys, *arguments: str) -> str:
    assert main(arguments) == 2
    return capsys.readouterr().err


@pytest.mark.slow
def test_every_command(place, capsys):
    """A fine-tuned BERT teaches a bag and a TextCNN; the teacher's folder is gone when its students are used."""
    run("finetune", "--data=films", "--teacher=transformers:bert", "--methods=none,l2_sp", "--out=runs/tuned", *FEW)
    teacher = "runs/tuned/none/seed-0"
    methods = "none,kd,neuron_transport"
    run("distill", "--data=films", f"--teacher={teacher}", "--student=textcnn@width=4", f"--methods={methods}",
        "--tokenizer=bpe:300", "--out=runs/cnn", *FEW)  # fmt: skip
    run("distill", "--data=films", f"--teacher={teacher}", "--student=bag@dim=8", "--methods=none,rkd",
        "--out=runs/bag", *FEW)  # fmt: skip
    kept = json.loads((place / "runs" / "cnn" / "tokenizers.json").read_text())
    assert kept["student"]["content"] != kept["teacher"]["content"]
    bag = json.loads((place / "runs" / "bag" / "tokenizers.json").read_text())
    assert bag["student"]["content"] == bag["teacher"]["content"] == kept["teacher"]["content"]

    student = "runs/cnn/kd/seed-0"
    run("evaluate", student)
    own = capsys.readouterr().out
    run("evaluate", student, "--data=films")
    assert own.splitlines()[-1] == capsys.readouterr().out.splitlines()[-1]
    run("evaluate", f"--model={teacher}", "--data=films")
    run("analyse", "runs/cnn")
    run("probe", "runs/cnn")
    run("compare", teacher, student, "--data=films", "--split=train", "--samples=40", "--out=runs/compared")
    run("rank", "--data=films", f"--teachers={teacher},runs/bag/none/seed-0,transformers:bert", "--bootstrap=0",
        "--out=runs/ranked")  # fmt: skip
    ranking = json.loads((place / "runs" / "ranked" / "ranking.json").read_text())
    assert len(ranking["teachers"]) == 3
    assert not any(found["error"] for found in ranking["teachers"])
    (place / "bert" / "tokenizer.json").unlink()
    run("resume", "runs/cnn")
    run("evaluate", student)
    run("export", student, "--format=torch.export", "--output=student.pt2")
    run("report", "runs/cnn")
    program = torch.export.load(place / "student.pt2").module()
    model = kantor.load(f"{student}/student.safetensors")
    tokens = model.tokenizer.encode(["a lovely film"])
    ids = torch.from_numpy(tokens.numbers.astype(np.int64))[None]
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    torch.testing.assert_close(program(**given), model.eval()(**given))


def test_tokens_of_two_tokenizers_meet_in_spans(place, capsys):
    settings = ["--data=films", "--teacher=transformers:bert", "--student=textcnn@width=4", "--tokenizer=bpe:300", *FEW]
    settings += ["--methods=neuron_transport@spatial=positions,fitnet"]
    said = refused(capsys, "distill", *settings, "--cache=on", "--out=runs/refused")
    assert "cache is on, but neuron_transport compares token by token" in said
    run("distill", *settings, "--out=runs/spans")
    said = capsys.readouterr().out
    assert "Teacher outputs are not cached" in said
    assert "the two have other tokens, and meet where a token of both ends" in said


def test_settings_of_texts_alone(place, capsys):
    for setting in ("--tokenizer=bpe:300", "--max-length=9"):
        assert "is of texts, and digits holds none" in refused(
            capsys, "distill", "--data=digits", "--student=mlp", "--methods=none", setting, *FEW
        )


def test_resume_is_bitwise(place):
    settings = ["--data=films", "--teacher=transformers:bert", "--student=textcnn@width=4", *FEW, "--epochs=3"]
    settings += ["--methods=neuron_transport", "--train-limit=30", "--unlabelled=20", "--unlabelled-batch=4"]
    run("distill", *settings, "--out=runs/whole")
    run("distill", *settings, "--out=runs/half")
    seed = place / "runs" / "half" / "neuron_transport" / "seed-0"
    whole = load_file(place / "runs" / "whole" / "neuron_transport" / "seed-0" / "student.safetensors")
    (seed / "result.json").unlink()
    (seed / "student.safetensors").unlink()
    run("resume", "runs/half")
    again = load_file(seed / "student.safetensors")
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[key], again[key]) for key in whole)
