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


def test_the_same_tokens_are_refused_by_name(capsys):
    assert distil("vocabulary_transport", "--student=gpt@dim=8@depth=1", "--tokenizer=auto") == 2
    said = capsys.readouterr().err
    assert "have the same tokens" in said and "Use kd" in said and "llama" in said
    assert distil("none,vocabulary_transport", "--student=gpt@dim=8@depth=1", "--unfit=skip", "--out=runs/skip") == 0
    assert "vocabulary_transport is left out" in capsys.readouterr().out


def test_kd_across_vocabularies_names_what_there_is(capsys):
    assert distil("kd", *STUDENT) == 2
    assert "vocabulary_transport" in capsys.readouterr().err
