"""Folders for the Hub, and the cards in them."""

import json

import pytest
import torch
import yaml

import small
from kantor.cli import main
from kantor.core.errors import ConfigError
from kantor.models import load
from kantor.study import run_study
from kantor.study.afterwards.export.hub import hub_folder
from tests.study.texts import write_bert, write_tsv


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("hub")
    longer = {"epochs": 4, "teacher_epochs": 4, "batch_size": 10, "lr": 0.2}
    run_study(small.settings(place, methods="none,kd", teacher="mlp@hidden=8", **longer), small.console())
    return place / "runs" / "run"


def front(folder) -> dict:
    text = (folder / "README.md").read_text("utf-8")
    return yaml.safe_load(text.split("---\n")[1])


def test_a_students_folder_has_weights_that_load_and_a_card_that_says_where_they_are_from(run, tmp_path, capsys):
    student = run / "kd" / "seed-1"
    assert main(["export", str(student), "--format=hub", f"--output={tmp_path / 'mine'}", "--license=mit"]) == 0
    assert "which kantor loads" in capsys.readouterr().out
    ours, theirs = load(str(student)), load(str(tmp_path / "mine" / "model.safetensors"))
    torch.testing.assert_close(dict(theirs.network.state_dict()), dict(ours.network.state_dict()))
    assert json.loads((tmp_path / "mine" / "config.json").read_text())["spec"] == "mlp@hidden=4"
    said = front(tmp_path / "mine")
    assert said["license"] == "mit" and said["library_name"] == "kantor" and said["datasets"] == ["vectors"]
    (result,) = said["model-index"][0]["results"]
    reached = json.loads((student / "result.json").read_text())["accuracy"]
    assert result["metrics"] == [{"type": "accuracy", "value": round(reached, 6)}]
    card = (tmp_path / "mine" / "README.md").read_text("utf-8")
    summary = json.loads((run / "summary.json").read_text())["methods"]["kd"]
    row = next(line for line in card.splitlines() if line.startswith("| kd"))
    assert f"{100 * summary['mean']:.2f}" in row and f"{100 * summary['interval'][0]:.2f}" in row
    assert "Trained with `kd`, seed 1" in card and "The teacher teacher, whose outputs" in card


def test_without_a_licence_the_card_and_the_command_say_so(run, capsys):
    assert main(["export", str(run / "none" / "seed-0"), "--format=hub"]) == 0
    assert "give --license before you share it" in capsys.readouterr().out
    assert front(run / "none" / "seed-0" / "hub")["license"] == "unknown"
    assert main(["export", str(run / "none" / "seed-0"), "--format=hub"]) == 0  # again, in its own folder


def test_names_of_classes_are_text_on_the_card(tmp_path):
    model = load("cnn@width=4", classes=["<script>alert(1)</script>", "\x1b[31mred"], input_shape=(1, 8, 8))
    hub_folder(model, tmp_path / "mine", None)
    card = (tmp_path / "mine" / "README.md").read_text("utf-8")
    assert "2 outputs: &lt;script&gt;alert(1)&lt;/script&gt;, red." in card


def test_a_model_of_no_run_has_a_card_that_asks(tmp_path):
    model = load("cnn@width=4", classes=["a", "b"], input_shape=(1, 8, 8))
    hub_folder(model, tmp_path / "mine", None)
    assert "How it was trained is not known" in (tmp_path / "mine" / "README.md").read_text("utf-8")
    assert front(tmp_path / "mine")["pipeline_tag"] == "image-classification"


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="holds other files"):
        hub_folder(load("cnn@width=4", classes=2, input_shape=(1, 8, 8)), tmp_path / "mine", None)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_timm_loads_its_own(tmp_path, torchvision_operators):
    timm = pytest.importorskip("timm")
    model = load("timm:resnet10t@normalise=imagenet", classes=["a", "b", "c"], input_shape=(3, 32, 32)).eval()
    assert hub_folder(model, tmp_path / "mine", None) == "timm"
    theirs = timm.create_model(f"local-dir:{tmp_path / 'mine'}", pretrained=True).eval()
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(theirs(model.normalise(x)), model(x))
    seen = timm.data.resolve_model_data_config(theirs)
    assert seen["input_size"] == (3, 32, 32) and seen["mean"] == pytest.approx((0.485, 0.456, 0.406))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_transformers_load_their_own(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    )
    config.save_pretrained(tmp_path / "start")
    torch.manual_seed(0)
    model = load(f"transformers:{tmp_path / 'start'}", classes=["a", "b"], input_shape=(3, 16, 16)).eval()
    assert hub_folder(model, tmp_path / "mine", None) == "transformers"
    theirs = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / "mine").eval()
    assert theirs.config.id2label == {0: "a", 1: "b"}
    again = load(f"transformers:{tmp_path / 'mine'}", input_shape=(3, 16, 16)).eval()
    assert again.class_names == ["a", "b"]
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(theirs(model.normalise(x)).logits, model(x))
        torch.testing.assert_close(again(x), model(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_transformers_read_texts_as_the_student_of_a_run_did(tmp_path, monkeypatch, torchvision_operators):
    """From words to logits: its tokenizer lies in the folder too, and cuts where the run did."""
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    write_tsv(tmp_path / "films")
    write_bert(tmp_path / "bert")
    settings = ["--data=films", "--student=transformers:bert", "--methods=none", "--seeds=1", "--epochs=1", "--jobs=1"]
    assert main(["distill", *settings, "--max-length=8", "--out=run"]) == 0
    assert main(["export", "run/none/seed-0", "--format=hub", "--output=mine"]) == 0
    assert front(tmp_path / "mine")["pipeline_tag"] == "text-classification"
    assert "at most 8 of a text" in (tmp_path / "mine" / "README.md").read_text("utf-8")
    ours = load("run/none/seed-0").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained("mine")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained("mine").eval()
    texts = ["the story is great", "a dull film and it is slow and the plot of this is poor"]
    tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    own = ours.tokenizer.encode(texts)
    assert tokens["input_ids"][0, : own.starts[1]].tolist() == own.numbers[: own.starts[1]].tolist()
    assert tokens["input_ids"][1].tolist() == own.numbers[own.starts[1] :].tolist()  # cut to eight
    given = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        torch.testing.assert_close(theirs(**given).logits, ours(**given))
