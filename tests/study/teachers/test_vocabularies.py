"""Studies of two language models with other tokens: maps made at step 0, kept, and read by who trains."""

import json

import pytest
import torch

from kantor.cli import main
from kantor.core.errors import DataError
from kantor.faculty.vocabulary import VocabularyPlan
from kantor.study.teachers.vocabularies import read_maps
from tests.study.texts import running_text, write_llama

pytest.importorskip("tokenizers", reason="texts need the extra text")
pytest.importorskip("transformers", reason="the teacher is a model of transformers")

FEW = ["--task=next_token", "--seeds=1", "--epochs=1", "--batch-size=16", "--jobs=1", "--threads=1", "--max-length=16"]
STUDENT = ["--student=gpt@dim=8@depth=1", "--tokenizer=bpe:320"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, torchvision_operators):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "books").mkdir()
    for seed, (part, words) in enumerate((("train", 400), ("test", 120))):
        (tmp_path / "books" / f"{part}.txt").write_text(running_text(words, seed), encoding="utf-8")
    write_llama(tmp_path / "llama", more_logits=4)
    return tmp_path


def distil(methods: str, *arguments: str) -> int:
    return main(
        ("distill", "--data=books", "--teacher=transformers:llama", f"--methods={methods}", "--out=runs/two", *FEW,
         *arguments)
    )  # fmt: skip


def test_every_loss_between_two_vocabularies(place, capsys):
    methods = (
        "none,vocabulary_transport,vocabulary_transport@cost=strings,string_projection,gold,alm,uld@merge=observed"
    )
    assert distil(methods, *STUDENT) == 0
    said = capsys.readouterr().out
    assert "found a partner" in said and "are the student's too" in said
    run = place / "runs" / "two"
    results = [json.loads(path.read_text()) for path in run.glob("*/seed-0/result.json")]
    assert len(results) == 7
    maps = read_maps(run)
    assert set(maps) == {f"teacher/{kind}" for kind in ("plan-both", "plan-strings", "strings", "same")}
    plan = VocabularyPlan.load(run / "vocabulary" / "teacher-both.npz")
    assert torch.equal(plan.map().shares, maps["teacher/plan-both"].shares)
    assert plan.facts["matched"][0] > 0.95 and plan.facts["tokens"][1] == 320

    assert main(("compare", "transformers:llama", "runs/two/alm/seed-0", "--data=books", "--task=next_token",
                 "--samples=20", "--out=runs/compared")) == 0  # fmt: skip
    assert " -> " in capsys.readouterr().out
    known = json.loads((place / "runs" / "compared" / "compare.json").read_text())["vocabulary"]
    assert known["matched"][0] > 0.9 and known["examples"]
    assert "Vocabularies" in (place / "runs" / "compared" / "report.html").read_text()

    (run / "none" / "seed-0" / "result.json").unlink()
    before = (run / "vocabulary" / "teacher-both.npz").read_bytes()
    assert main(("resume", "runs/two")) == 0
    assert (run / "vocabulary" / "teacher-both.npz").read_bytes() == before
    (run / "vocabulary-maps.npz").write_bytes(b"no")
    with pytest.raises(DataError, match="vocabulary-maps"):
        read_maps(run)


def test_kept_logits_teach_what_a_teacher_that_runs_does(place, capsys):
    """Of every loss, bit by bit."""
    methods = "vocabulary_transport,vocabulary_transport@top=4,string_projection,gold,alm,uld@merge=observed,uld"
    top = ("--top-logits=8", "--epochs=2")
    assert distil(methods, *STUDENT, *top, "--out=runs/live", "--cache=off") == 0
    assert "the teacher runs on every batch" in capsys.readouterr().out
    assert distil(methods, *STUDENT, *top, "--cache=on") == 0
    assert "34 bytes a token" in capsys.readouterr().out
    students = sorted(path.relative_to(place / "runs/two") for path in place.glob("runs/two/*/seed-0/*.safetensors"))
    assert len(students) == 7
    for path in students:
        assert (place / "runs/two" / path).read_bytes() == (place / "runs/live" / path).read_bytes(), path


def test_kept_logits_of_the_same_tokens(place, capsys):
    same = ("--student=gpt@dim=8@depth=1", "--tokenizer=auto", "--top-logits=8", "--cache=on")
    assert distil("kd,kd@divergence=skew", *same) == 0
    assert "keyed by sample id" in capsys.readouterr().out
    assert distil("kd,neuron_transport@spatial=positions:1", *same, "--out=runs/mixed") == 2
    assert "neuron_transport compares token by token" in capsys.readouterr().err
    assert distil("kd", *same[:2], "--cache=on", "--out=runs/all") == 2
    assert "--top-logits 64" in capsys.readouterr().err


def test_the_same_tokens_are_refused_by_name(capsys):
    assert distil("vocabulary_transport", "--student=gpt@dim=8@depth=1", "--tokenizer=auto") == 2
    said = capsys.readouterr().err
    assert "have the same tokens" in said and "Use kd" in said and "llama" in said
    assert distil("none,vocabulary_transport", "--student=gpt@dim=8@depth=1", "--unfit=skip", "--out=runs/skip") == 0
    assert "vocabulary_transport is left out" in capsys.readouterr().out


def test_kd_across_vocabularies_names_what_there_is(capsys):
    assert distil("kd", *STUDENT) == 2
    assert "vocabulary_transport" in capsys.readouterr().err
