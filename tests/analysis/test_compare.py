"""``kantor compare`` from end to end, on models whose relation is known."""

import json

import numpy as np
import pytest
import torch

import kantor
from kantor.analysis import activations
from kantor.cli import main


def cnn(classes=10, width=16, seed=0, shape=(1, 8, 8)):
    torch.manual_seed(seed)
    return kantor.load(f"cnn@width={width}", classes=classes, input_shape=shape)


def saved(model, path) -> str:
    model.save(path)
    return str(path)


def permuted(model, order: torch.Tensor):
    """The same function: the last stage's channels in another order, and the classifier's columns with them."""
    other = cnn(width=len(order))
    state = {key: tensor.clone() for key, tensor in model.network.state_dict().items()}
    for key, tensor in state.items():
        if key.startswith("layer3") and tensor.ndim:
            state[key] = tensor[order]
    state["linear.weight"] = state["linear.weight"][:, order]
    other.network.load_state_dict(state)
    return other


def compare(tmp_path, a: str, b: str, *options: str) -> dict:
    out = tmp_path / "out"
    assert main(["compare", a, b, "--data=digits", f"--out={out}", *options]) == 0
    assert (out / "report.html").is_file()
    return json.loads((out / "compare.json").read_text())


def test_a_model_and_itself(tmp_path):
    model = saved(cnn(), tmp_path / "a.safetensors")
    found = compare(tmp_path, model, model)
    for k, pair in enumerate(found["pairs"]):
        assert pair["distance"] == pytest.approx(0, abs=1e-6)
        assert pair["diagonal"] == pytest.approx(1.0)
        assert pair["cka"] == pytest.approx(1.0)
        assert found["matrices"]["distance"][k][k] == pytest.approx(0, abs=1e-6)
    assert [(m["a"], m["b"]) for m in found["matched"]] == [(k, k) for k in range(16)]
    assert found["predictions"]["disagreement"] == 0.0
    assert found["predictions"]["accuracy"][0] == found["predictions"]["accuracy"][1]
    assert [stage["path"] for stage in found["a"]["stages"]] == ["layer1", "layer2", "layer3"]
    assert found["data"] == {"name": "digits", "part": "test", "samples": 360}


def test_neurons_in_another_order(tmp_path, capsys):
    model, order = cnn(), torch.arange(16).roll(3)
    a = saved(model, tmp_path / "a.safetensors")
    b = saved(permuted(model, order), tmp_path / "b.safetensors")
    found = compare(tmp_path, a, b)
    last = found["pairs"][-1]
    assert last["distance"] == pytest.approx(0, abs=1e-6)
    assert last["cka"] == pytest.approx(1.0)
    assert last["diagonal"] == 0.0
    assert last["identity"] > 0.3
    assert last["gap"] == pytest.approx(1.0)
    assert {(m["a"], m["b"]) for m in found["matched"]} == {(int(i), j) for j, i in enumerate(order)}
    assert found["predictions"]["disagreement"] == 0.0
    with np.load(tmp_path / "out" / "neurons.npz") as arrays:
        np.testing.assert_array_equal(arrays["top_a_2"][order], arrays["top_b_2"])
        assert arrays["plan_2"].shape == (16, 16)
    assert "layer3" in capsys.readouterr().out


def test_swapping_transposes_and_widths_may_differ(tmp_path):
    a, b = saved(cnn(), tmp_path / "a.safetensors"), saved(cnn(width=8, seed=1), tmp_path / "b.safetensors")
    one, other = compare(tmp_path, a, b), compare(tmp_path, b, a)
    for name in ("distance", "cka"):
        np.testing.assert_allclose(np.array(one["matrices"][name]).T, other["matrices"][name], rtol=2e-3, atol=1e-6)
    assert one["pairs"][-1]["widths"] == [16, 8]
    assert one["pairs"][-1]["diagonal"] is None
    assert {(m["a"], m["b"]) for m in one["matched"]} == {(m["b"], m["a"]) for m in other["matched"]}


def test_other_classes_and_other_inputs(tmp_path):
    a = saved(cnn(), tmp_path / "a.safetensors")
    b = saved(cnn(classes=["x", "y", "z"], shape=(1, 16, 16)), tmp_path / "b.safetensors")
    found = compare(tmp_path, a, b, "--samples=50", "--top=2")
    assert found["predictions"] is None
    assert found["data"]["samples"] == 50
    # Same weights but at twice the resolution: near, not the same.
    assert 0.0 < found["pairs"][-1]["distance"] < 0.9
    assert len(set(found["samples"]["a"]["ids"])) <= 50


def test_images_are_brought_to_the_size_the_model_was_built_for():
    part = kantor.open_data("digits").part("test")
    model, large = cnn(), cnn(shape=(1, 16, 16))
    with torch.no_grad():
        x = part.read(np.arange(len(part)))["student"]
        double = torch.nn.functional.interpolate(x, size=(16, 16), mode="bilinear", antialias=True)
        model.eval()
        want = model(double)
    assert torch.allclose(activations(large, part, [])["logits"], want, atol=1e-5)
    assert not torch.allclose(activations(model, part, [])["logits"], want, atol=1e-2)


def test_an_untrained_model_is_a_control(tmp_path, capsys):
    found = compare(tmp_path, "cnn@width=8", saved(cnn(), tmp_path / "a.safetensors"), "--split=train", "--samples=100")
    assert found["predictions"]["accuracy"][0] < 0.5
    assert found["a"]["name"] == "cnn"
    assert (found["a"]["trained"], found["b"]["trained"]) == (False, True)
    assert "cnn has no weights and is as it was drawn" in capsys.readouterr().out


@pytest.fixture
def two_views(tmp_path):
    draw = np.random.default_rng(0)
    y = np.arange(240) % 3
    a = (np.eye(3)[y] + 0.3 * draw.normal(size=(240, 3))).astype(np.float32)
    b = (a @ draw.normal(size=(3, 5))).astype(np.float32)
    path = tmp_path / "two.npz"
    np.savez(path, a_train=a, b_train=b, y_train=y, b_test=b[:60], y_test=y[:60])
    return path


def test_each_model_sees_its_own_view(tmp_path, two_views):
    torch.manual_seed(0)
    wide = saved(kantor.load("mlp@normalise=none", classes=3, input_shape=(3,)), tmp_path / "wide.safetensors")
    other = kantor.load("mlp@normalise=none", classes=3, input_shape=(5,))
    narrow = saved(other, tmp_path / "narrow.safetensors")
    options = [f"--data={two_views}", "--split=train", "--views=model_a=a,model_b=b"]
    found = compare(tmp_path, wide, narrow, *options)
    assert found["views"] == {"model_a": "a", "model_b": "b"}
    assert "wide a; narrow b" in (tmp_path / "out" / "report.html").read_text()
    part = kantor.open_data(two_views, views={"teacher": "a", "student": "b"}, validation=0).train
    sides = ((wide, "teacher"), (narrow, "student"))
    want = [activations(kantor.load(model), part, ["layers.0"], role=role)["layers.0"] for model, role in sides]
    assert found["matrices"]["distance"][0][0] == pytest.approx(kantor.analysis.neuron_distance(*want), abs=1e-5)


def test_pictures_are_of_what_each_model_sees(tmp_path):
    a, b = saved(cnn(), tmp_path / "a.safetensors"), saved(cnn(shape=(1, 4, 4)), tmp_path / "b.safetensors")
    found = compare(tmp_path, a, b, "--views=model_a=image,model_b=small@side=4")
    assert [found["samples"][side]["file"] for side in "ab"] == ["samples-a.jpg", "samples-b.jpg"]
    assert all((tmp_path / "out" / f"samples-{side}.jpg").is_file() for side in "ab")


def test_what_a_student_learnt_from_is_not_forgotten(tmp_path, two_views, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [f"--data={two_views}", "--views=teacher=a,student=b", "--student=mlp", "--methods=none", "--seeds=2"]
    assert main(["distill", *arguments, "--epochs=1", "--jobs=1", "--batch-size=32", "--out=runs/v"]) == 0
    students = [f"runs/v/none/seed-{seed}" for seed in (0, 1)]
    for first in (students[0], f"{students[0]}/student.safetensors"):
        assert main(["compare", first, students[1], f"--data={two_views}"]) == 2
        assert f"{first} was trained on the view b: say what both models see" in capsys.readouterr().err
    assert main(["compare", *students, f"--data={two_views}", "--views=model_a=b,model_b=b"]) == 0


@pytest.mark.parametrize(
    ("views", "says"),
    [
        (None, "--views model_a=b,model_b=a"),
        ("teacher=a,student=b", "model_a=NAME,model_b=NAME"),
        ("model_a=c,model_b=b", "no view 'c', asked for model_a"),
        ("model_a=a,model_b=b", "The test part of two.npz lacks what model_a sees"),
    ],
)
def test_views_that_cannot_be_compared(views, says, tmp_path, two_views, capsys):
    given = [] if views is None else [f"--views={views}"]
    assert main(["compare", "mlp", "mlp", f"--data={two_views}", *given, f"--out={tmp_path / 'out'}"]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{a}", "resnet99", "--data=digits"], "resnet99"),
        (["{a}", "{a}", "--data=digits", "--samples=3"], "at least 4"),
        (["{a}", "{a}", "--data=nowhere"], "nowhere"),
        (["{a}", "{a}", "--data=digits", "--top=0"], "top is at least 1"),
        (["{a}", "{colour}", "--data=digits"], "was built for samples of shape"),
    ],
)
def test_bad_input(arguments, says, tmp_path, capsys):
    known = {
        "a": saved(cnn(), tmp_path / "a.safetensors"),
        "colour": saved(cnn(shape=(3, 8, 8)), tmp_path / "colour.safetensors"),
    }
    out = tmp_path / "out"
    assert main(["compare", *(a.format(**known) for a in arguments), f"--out={out}"]) == 2
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_a_diverged_model_is_named_with_its_samples(tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    for name in ("good", "bad"):
        model = kantor.load("cnn@width=8", classes=10, input_shape=(1, 8, 8))
        if name == "bad":
            with torch.no_grad():
                model.network.get_parameter("layer3.0.weight").fill_(float("nan"))
        model.save(f"{name}.safetensors")
    assert main(["compare", "good.safetensors", "bad.safetensors", "--data", "digits"]) == 2
    assert "layer3 is not finite, for sample ids [" in capsys.readouterr().err
