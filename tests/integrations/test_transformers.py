"""Distillation in Hugging Face's Trainer: the real one, on tiny networks."""

import copy
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import kantor
from kantor import losses
from kantor.objective import Weight
from tests.integrations.tiny import CLASSES, bert, images, texts, vit

if importlib.util.find_spec("transformers") is None:
    pytest.skip("needs transformers", allow_module_level=True)
from kantor.integrations.transformers import DistillationMixin, read_student  # noqa: I001

import transformers  # after it: beside a torch that torchvision was not built for it is told of none

from tests.integrations.trainers import same, trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


def test_terms_are_logged_and_step_0_is_said_once(tmp_path, capsys):
    ours = trainer(tmp_path, logging_steps=2)
    ours.train()
    assert capsys.readouterr().out.count("Term task") == 1
    told = [entry for entry in ours.state.log_history if "loss" in entry]
    assert [entry["step"] for entry in told] == [2, 4]
    for entry in told:
        assert {"terms/task", "terms/kd", "terms/neuron_transport"} <= set(entry)
        assert 0 < entry["terms/task"] < 5 and entry["terms/task"] < entry["loss"]
    assert all("terms/task" not in entry for entry in ours.state.log_history if "loss" not in entry)


def test_what_losses_learn_is_in_the_optimiser_and_they_are_told_of_each_step(tmp_path):
    ours = trainer(tmp_path, method="crd", max_steps=3, gradient_accumulation_steps=2)
    ours.train()
    known = {id(p) for group in ours.optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in ours.objective.parameters() if p.requires_grad} <= known
    assert int(ours.objective.limits.steps) == 3 and bool(ours.objective.limits.adaptive)  # AdamW


def test_resumed_ends_bitwise_where_it_would_have_ended(tmp_path):
    """In the middle of an epoch, with dropout, memories, a slow plan and limits that are looked at."""
    settings: dict[str, Any] = {
        "method": "kd+neuron_transport+crd",
        "save_strategy": "steps",
        "save_steps": 4,
        "max_steps": 8,
    }
    whole = trainer(tmp_path / "whole", vit(8, 0, 0.1), **settings)
    whole.train()
    resumed = trainer(tmp_path / "whole", vit(8, 0, 0.1), **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    same(whole.objective, resumed.objective)
    of_whole = [entry["terms/crd"] for entry in whole.state.log_history if "terms/crd" in entry]
    of_resumed = [entry["terms/crd"] for entry in resumed.state.log_history if "terms/crd" in entry]
    assert of_whole[4:] == of_resumed[4:]
    another = trainer(tmp_path / "other", vit(8, 0, 0.1), method="kd+rkd", max_steps=8)
    with pytest.raises(kantor.DataError, match=r"another method.*crd"):
        another.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    (tmp_path / "whole" / "checkpoint-4" / "kantor.safetensors").unlink()
    with pytest.raises(kantor.DataError, match="no checkpoint of a distillation"):
        trainer(tmp_path / "other", method="kd").train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))


def test_a_weight_that_step_0_found_is_that_of_the_beginning_when_resumed(tmp_path):
    settings: dict[str, Any] = {"method": "neuron_transport:auto", "save_strategy": "steps", "save_steps": 2}
    whole = trainer(tmp_path, **settings)
    whole.train()
    resumed = trainer(tmp_path, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert whole.objective.weights() == resumed.objective.weights()
    same(whole.objective, resumed.objective)


def test_the_student_is_saved_clean_and_loads_by_its_library(tmp_path):
    ours = trainer(tmp_path, max_steps=1)
    ours.train()
    ours.save_model(str(tmp_path / "student"))
    found, told = transformers.AutoModelForImageClassification.from_pretrained(
        tmp_path / "student", output_loading_info=True
    )
    assert not told["missing_keys"] and not told["unexpected_keys"]
    same(ours.model, found)
    assert not any("student" in name or "teacher" in name for name in found.state_dict())


def test_checkpoints_of_networks_that_are_written_under_older_names_are_read(tmp_path):
    """The Trainer's own reading passes over most of a ViT's weights."""
    ours = vit(8, 0)
    ours.save_pretrained(tmp_path)
    other = vit(8, 5)
    read_student(tmp_path, other)
    same(ours, other)


def test_evaluation_is_the_students_own(tmp_path):
    def metrics(predicted: Any) -> dict[str, float]:
        assert predicted.predictions.shape == (24, CLASSES)
        return {"right": float((predicted.predictions.argmax(1) == predicted.label_ids).mean())}

    ours = trainer(
        tmp_path, eval_dataset=images(), compute_metrics=metrics, eval_strategy="steps", eval_steps=2, max_steps=4,
        save_strategy="steps", save_steps=2, load_best_model_at_end=True,
    )  # fmt: skip
    assert ours.evaluate()["eval_right"] <= 1
    ours.train()
    told = [entry for entry in ours.state.log_history if "eval_loss" in entry]
    assert [entry["step"] for entry in told] == [2, 4]
    batch = torch.stack([sample["pixel_values"] for sample in images()])
    labels = torch.tensor([sample["labels"] for sample in images()])
    own = ours.model.eval()(pixel_values=batch, labels=labels).loss
    best = min(entry["eval_loss"] for entry in told)
    assert float(own.detach()) == pytest.approx(best, rel=1e-4)


def test_accumulated_parts_make_the_step_of_the_whole_batch(tmp_path):
    """Labels that lie unevenly among the parts count alike, as tokens do."""
    students = []
    for parts in (1, 2):
        data = texts()
        for i, sample in enumerate(data):
            sample["labels"] = torch.where(torch.arange(12) < 2 + 2 * (i % 4), sample["input_ids"] % CLASSES, -100)
        ours = trainer(
            tmp_path / str(parts), bert(8, 0, "BertForTokenClassification"), train_dataset=data, method="none",
            teachers={}, per_device_train_batch_size=8 // parts, gradient_accumulation_steps=parts, max_steps=3,
            optim="sgd", max_grad_norm=0.0,
        )  # fmt: skip
        assert isinstance(ours.objective.task, kantor.tasks.TokenClassification)
        ours.train()
        students.append(ours.model)
    for (name, one), (_, two) in zip(*(student.named_parameters() for student in students), strict=True):
        assert torch.allclose(one, two, atol=1e-6), name


def test_text_with_padding_and_several_teachers(tmp_path):
    ours = trainer(
        tmp_path, bert(8, 0), train_dataset=texts(), eval_dataset=texts(), method="kd+neuron_transport:5",
        teachers={"one": bert(16, 1), "two": bert(12, 2)}, max_steps=2,
    )  # fmt: skip
    ours.train()
    assert {"task", "kd.one", "kd.two", "neuron_transport.one", "neuron_transport.two"} == set(ours.objective.weights())
    assert any("padding" in note for note in ours.step0.notes)
    assert ours.evaluate()["eval_loss"] > 0


def test_kept_outputs_in_a_teachers_place(tmp_path):
    """By sample number, without a network."""

    class Kept:
        facts = {"parameters": 9, "classes": None, "mode": "kept", "source": "a table"}  # noqa: RUF012

        def __init__(self, network: nn.Module) -> None:
            batch = torch.stack([sample["pixel_values"] for sample in images()])
            self.table = network.eval()(batch).logits.detach()

        def outputs(self, batch: kantor.Batch, reads: Any) -> Any:
            return dict.fromkeys(reads, self.table[batch.ids])

    students = []
    for teachers in (vit(16, 1), {"teacher": Kept(vit(16, 1))}):
        ours = trainer(tmp_path, teachers=teachers, method="kd", max_steps=2)
        ours.train()
        students.append(ours.model)
    for one, two in zip(*(student.parameters() for student in students), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(("network", "data"), [(vit, images), (bert, texts)])
def test_half_precision(tmp_path, network, data):
    ours = trainer(
        tmp_path, network(8, 0), teachers=network(16, 1), train_dataset=data(), bf16=True, eval_dataset=data(),
        eval_strategy="steps", eval_steps=1, max_steps=2,
    )  # fmt: skip
    ours.train()
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in ours.objective.parameters())
    assert [entry["eval_loss"] > 0 for entry in ours.state.log_history if "eval_loss" in entry] == [True, True]


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_gradient_checkpointing(tmp_path, reentrant):
    settings: dict[str, Any] = {"max_steps": 2, "method": "neuron_transport"}
    kind = {"gradient_checkpointing_kwargs": {"use_reentrant": reentrant}, "gradient_checkpointing": True}
    ours = trainer(tmp_path, vit(8, 0), **settings, **kind)
    if reentrant:
        with pytest.raises(kantor.ConfigError, match="reentrant"):
            ours.train()
        return
    plain = trainer(tmp_path, vit(8, 0), **settings)
    ours.train()
    plain.train()
    for one, two in zip(ours.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.slow
def test_a_compiled_student_runs_compiled_where_logits_alone_are_read_and_is_saved_clean(tmp_path):
    ours = trainer(tmp_path, method="kd", torch_compile=True, torch_compile_backend="aot_eager", max_steps=2)
    assert ours.model._compiled_call_impl is not None
    ours.train()
    plain = trainer(tmp_path, method="kd", max_steps=2)
    plain.train()
    for (name, one), (_, two) in zip(ours.model.named_parameters(), plain.model.named_parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-5), name
    assert list(ours.model.state_dict()) == list(plain.model.state_dict())
    read = trainer(tmp_path, torch_compile=True, torch_compile_backend="aot_eager", max_steps=1)
    read.train()
    assert any("uncompiled" in note for note in read.step0.notes)


def test_lora_student_learns_its_adapter_alone_and_resumes_bitwise(tmp_path):
    peft = pytest.importorskip("peft", reason="needs peft")

    def student() -> Any:
        torch.manual_seed(7)
        return peft.get_peft_model(vit(8, 0), peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))

    settings: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "method": "kd+neuron_transport"}
    ours = trainer(tmp_path, student(), **settings)
    before = copy.deepcopy(ours.model.state_dict())
    ours.train()
    moved = {name for name, x in ours.model.state_dict().items() if not torch.equal(x, before[name])}
    assert moved and all("lora_" in name for name in moved)
    again = trainer(tmp_path, student(), **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    same(ours.objective, again.objective)
    ours.save_model(str(tmp_path / "adapter"))
    whole = peft.PeftModel.from_pretrained(vit(8, 0), str(tmp_path / "adapter"))
    batch = torch.stack([sample["pixel_values"] for sample in images()])
    assert torch.allclose(whole.eval()(batch).logits, ours.model.eval()(batch).logits, atol=1e-6)


def test_any_module_is_a_student(tmp_path):
    def student() -> nn.Module:
        torch.manual_seed(0)
        return kantor.load("cnn@width=8", classes=CLASSES, input_shape=(3, 16, 16))

    settings: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "eval_dataset": images()}
    ours = trainer(tmp_path, student(), **settings)
    ours.train()
    told = ours.predict(images())
    assert told.predictions.shape == (24, CLASSES) and told.metrics["test_loss"] > 0
    again = trainer(tmp_path, student(), **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    same(ours.objective, again.objective)


def test_a_trainer_of_ones_own(tmp_path):
    class Mine(transformers.Trainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            outputs = model(**inputs)
            loss = nn.functional.cross_entropy(outputs.logits, inputs["labels"], label_smoothing=0.2)
            return (loss, outputs) if return_outputs else loss

    class Distilled(DistillationMixin, Mine):
        pass

    with pytest.raises(kantor.ConfigError, match=r"Mine\.compute_loss would not be called in training"):
        trainer(tmp_path, kind=Distilled)
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.2)
    ours = trainer(tmp_path, kind=Distilled, task=smoothed, eval_dataset=images(), max_steps=2)
    ours.train()
    batch = torch.stack([sample["pixel_values"] for sample in images()])
    labels = torch.tensor([sample["labels"] for sample in images()])
    own = float(smoothed(ours.model.eval()(batch).logits, labels).detach())
    assert ours.evaluate()["eval_loss"] == pytest.approx(own, rel=1e-4)


def test_a_fresh_student_for_every_training(tmp_path):
    ours = trainer(tmp_path, model_init=lambda: vit(8, 0), max_steps=2)
    ours.train()
    first = copy.deepcopy(ours.objective)
    ours.train()
    assert ours.objective.student is ours.model
    same(first, ours.objective)
    terms = [kantor.Term(losses.NeuronTransport())]
    with pytest.raises(kantor.ConfigError, match="given as an object"):
        trainer(tmp_path, model_init=lambda: vit(8, 0), method=terms, max_steps=1).train()


def test_weights_that_follow_training_follow_the_trainers_steps(tmp_path):
    weight = Weight(1.0, "linear")
    ours = trainer(tmp_path, method=[kantor.Term(losses.KD(), weight=weight)], max_steps=4)
    ours.train()
    assert ours.objective.weights()["kd"] == pytest.approx(0.25)  # at the last of four steps three are done


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor would not be used"),
        ({"method": "kd,none"}, "trains one student, by one method"),
        ({"method": "kdd"}, "kd"),
    ],
)
def test_what_would_be_wrong_in_silence_is_refused(tmp_path, given, said):
    with pytest.raises(kantor.ConfigError, match=said):
        trainer(tmp_path, **given)


def test_an_objective_is_no_model(tmp_path):
    objective = kantor.Objective(vit(8, 0), {"big": vit(16, 1)}, [kantor.Term(losses.KD())])
    with pytest.raises(kantor.ConfigError, match="Give the Trainer the student"):
        trainer(tmp_path, objective)


@pytest.mark.slow
def test_two_processes_train_the_student_of_one(tmp_path):
    """Where the student alone is wrapped, each process would train one of its own, in silence."""
    script = Path(__file__).with_name("trainer_processes.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(
        [*launch, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"world')))
    assert found["world"] == 2
    assert found["apart"] == 0 and found["resumed_apart"] == 0
    assert found["from_one"] < 1e-5 < 1e-3 < found["moved"]
    assert found["said"] == 1
