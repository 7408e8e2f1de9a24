"""examples/language from end to end, shrunk to seconds: its trials, its study, and its page."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kantor.cli import main
from tests.study.texts import running_text, write_llama

pytest.importorskip("tokenizers", reason="texts need the extra text")
pytest.importorskip("transformers", reason="the teacher is a model of transformers")

EXAMPLE = Path(__file__).parents[2] / "examples" / "language"
SHRUNK = [
    "--data=books", "--text=null", "--teacher=transformers:llama", "--student=gpt@dim=8@depth=1", "--tokenizer=bpe:320",
    "--max-length=16", "--top-logits=8", "--epochs=1",
]  # fmt: skip


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"language_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_trials_study_and_page(tmp_path, monkeypatch, torchvision_operators):
    monkeypatch.chdir(tmp_path)
    Path("books").mkdir()
    for seed, (part, words) in enumerate((("train", 400), ("test", 120))):
        Path("books", f"{part}.txt").write_text(running_text(words, seed), encoding="utf-8")
    write_llama(Path("llama"))
    for name in ("search", "study"):
        assert main(["distill", f"--config={EXAMPLE / name}.yaml", *SHRUNK, f"--out=runs/{name}"]) == 0
    page = script("page")
    results = page.keep([Path("runs/study")], Path("runs/search"))
    methods = [page._plain(method) for method in yaml.safe_load((EXAMPLE / "study.yaml").read_text())["methods"]]
    assert list(results["methods"]) == methods
    assert all(len(tried) == 2 for tried in results["trials"].values())
    written = page.page(results)
    assert "| the student alone |" in written and written.count("**vocabulary_transport**") >= 3


def test_texts_are_cut_and_none_is_lost(tmp_path, monkeypatch):
    prepare = script("prepare")
    monkeypatch.setattr(prepare, "TEXT", tmp_path)
    for name in ("valid.txt", "test.txt"):
        (tmp_path / name).write_text(running_text(300, 0), encoding="utf-8")
    prepare.texts(tmp_path / "text")
    rows = [json.loads(line)["text"] for line in (tmp_path / "text" / "train.jsonl").read_text().splitlines()]
    assert "".join(rows) == running_text(300, 0) and max(map(len, rows)) <= prepare.PIECE


@pytest.mark.skipif(not (EXAMPLE / "results.json").exists(), reason="the study has not been run")
def test_the_page_is_that_of_its_results():
    page = script("page")
    assert page.page(json.loads((EXAMPLE / "results.json").read_text())) == (EXAMPLE / "RESULTS.md").read_text()
