"""Hugging Face's Trainer with tiny networks, as the tests make it."""

from pathlib import Path
from typing import Any

import torch
import transformers  # after it: beside a torch that torchvision was not built for it is told of none
from torch import nn

from kantor.integrations.transformers import DistillationTrainer
from tests.integrations.tiny import images, vit


def arguments(folder: Path, **settings: Any) -> Any:
    given = {
        "per_device_train_batch_size": 4, "max_steps": 4, "logging_steps": 1, "save_strategy": "no", "report_to": [],
        "use_cpu": True, "disable_tqdm": True, "seed": 3, "learning_rate": 1e-2, **settings,
    }  # fmt: skip
    return transformers.TrainingArguments(str(folder), **given)


def trainer(folder: Path, student: Any = None, *, kind: type = DistillationTrainer, **settings: Any) -> Any:
    of_trainer = ("method", "teachers", "train_dataset", "eval_dataset", "task", "objective", "model_init",
                  "compute_metrics", "data_collator")  # fmt: skip
    given = {name: settings.pop(name) for name in of_trainer if name in settings}
    given = {"train_dataset": images(), "teachers": vit(16, 1), "method": "kd+neuron_transport", **given}
    made = {} if "model_init" in given else {"model": student if student is not None else vit(8, 0)}
    return kind(**made, args=arguments(folder, **settings), **given)


def same(one: nn.Module, other: nn.Module) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
