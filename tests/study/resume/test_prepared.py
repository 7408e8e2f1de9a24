"""What step 0 decided, as it is written down and read again."""

import json
from dataclasses import replace

import pytest
import torch

from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.data import LayerSpec
from kantor.losses import NeuronTransport
from kantor.objective import Term, Weight
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.starting_weights import Start
from kantor.training import Pair

TERM = Term.named(
    "neuron_transport", {"plan_momentum": 0.5}, student="layer2", teacher="big:layer3", weight=Weight(2.0)
)
TEACHER = {
    "spec": "cnn:a.pt", "classes": ["x", "y"], "saw": "data", "digest": "0f", "facts": {"parameters": 9},
    "layers": {"layer3 mean": [[16], True], "logits": [[2], False]},
}  # fmt: skip
PLAN = Prepared(
    teachers={"big": TEACHER},
    bound={"none": [], "neuron_transport": [TERM.record()]},
    pairs=[Pair("layer2", "layer3", "big")],
    cached=True,
    threads=2,
    starts={"none": None, "neuron_transport": Start("cnn:a.pt", ["x", "y"])},
)


def test_it_is_read_as_it_was_written(tmp_path):
    PLAN.write(tmp_path)
    assert Prepared.read(tmp_path) == PLAN


def test_terms_are_made_from_it_each_with_a_loss_of_its_own(tmp_path):
    PLAN.write(tmp_path)
    plan = Prepared.read(tmp_path)
    (first,), (second,) = plan.terms("neuron_transport"), plan.terms("neuron_transport")
    assert first.record() == TERM.record()
    assert isinstance(first.loss, NeuronTransport) and first.loss is not second.loss
    assert plan.terms("none") == []


def test_what_is_cached_of_a_teacher():
    assert PLAN.layers("big") == {"layer3 mean": LayerSpec((16,), pooled=True), "logits": LayerSpec((2,))}
    layers = {"logits.top": ([9, 5], False, "float16"), "logits.top.tokens": ([9, 4], False, "uint16")}
    said = replace(PLAN, teachers={"big": {**TEACHER, "layers": layers}})
    assert said.layers("big") == {
        "logits.top": LayerSpec((9, 5), torch.float16), "logits.top.tokens": LayerSpec((9, 4), torch.uint16)
    }  # fmt: skip


def test_none_yet(tmp_path):
    with pytest.raises(ConfigError, match=r"has no plan\.json, which step 0 leaves: `kantor resume"):
        Prepared.read(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept.pop("threads"),
        lambda kept: kept.update(threads="many"),
        lambda kept: kept["bound"].update(kd=[{"name": "kd"}]),
        lambda kept: kept["starts"].update(none={"classes": None}),
        lambda kept: kept["teachers"]["big"].pop("spec"),
    ],
)
def test_damage_is_named_with_a_remedy(tmp_path, damage):
    PLAN.write(tmp_path)
    kept = json.loads((tmp_path / "plan.json").read_text())
    damage(kept)
    (tmp_path / "plan.json").write_text(json.dumps(kept))
    with pytest.raises(DataError, match=r"plan\.json.*`kantor resume`"):
        Prepared.read(tmp_path)


@pytest.mark.parametrize("place", ["teacher", "start", "loss"])
def test_the_file_decides_of_no_code(tmp_path, place):
    trust.forget()
    PLAN.write(tmp_path)
    kept = json.loads((tmp_path / "plan.json").read_text())
    del kept["digest"]  # who writes code into it can write a digest that fits
    if place == "teacher":
        kept["teachers"]["big"]["spec"] = "no_such_module:make:a.pt"
    elif place == "start":
        kept["starts"]["none"] = {"spec": "no_such_module:make:seed-{seed}.pt", "classes": None}
    else:
        kept["bound"]["neuron_transport"][0]["loss"] = "no_such_module:Loss"
    (tmp_path / "plan.json").write_text(json.dumps(kept))
    with pytest.raises(ConfigError, match="no_such_module"):
        Prepared.read(tmp_path)
    trust.forget()
