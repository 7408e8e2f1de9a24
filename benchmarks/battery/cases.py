"""The cases: a teacher, a student and data each, that no default was searched on."""

from dataclasses import dataclass, field
from typing import Any

SEEDS = range(5)
"""Of every case; each has a draw of labels of its own."""


@dataclass(frozen=True)
class Case:
    """One student that a teacher is to help.

    Attributes:
        name: of the case.
        data: which of ``data.SETS`` the student sees.
        student, teacher: models, as ``kantor distill`` takes them; ``@networks`` stands for the battery's own.
        labels: labelled training samples of every class; each seed has a draw of its own.
        settings: of the student's training; the rest is left at its default.
        teacher_data: what the teacher is trained on, where it is other data than the student's.
        teacher_settings: of its training.
        teacher_file: trained weights, in the folder of shared data or in that of ``public.py``, in the place of a
            training.
        same_classes: the teacher knows the student's classes.
    """

    name: str
    data: str
    student: str
    teacher: str
    labels: int
    settings: dict[str, Any]
    teacher_data: str | None = None
    teacher_settings: dict[str, Any] = field(default_factory=dict)
    teacher_file: str | None = None
    same_classes: bool = True

    @property
    def half(self) -> str:
        """``tried``: the policy was chosen on pairs like it; ``unread``: nothing like it was looked at before."""
        return "tried" if self.name in TRIED else "unread"


TRIED = ("digits-cnn", "fashion-perceptron", "fashion-perceptron-few", "fashion-mlp", "fashion-plain", "fashion-mixer",
         "mnist-public")  # fmt: skip
"""The policy was chosen on single looks at such pairs: a perceptron without bias on MNIST, a CNN on digits, an MLP, a
CNN without norm and a mixer on Fashion-MNIST."""


def _sgd(lr: float, batch: int, epochs: int) -> dict[str, Any]:
    return {"optimizer": "sgd", "lr": lr, "batch_size": batch, "epochs": epochs}


def _adamw(lr: float, batch: int, epochs: int) -> dict[str, Any]:
    return {"optimizer": "adamw", "lr": lr, "batch_size": batch, "epochs": epochs}


CASES = [
    Case("digits-cnn", "digits", "cnn@width=16", "cnn@width=128", 10, _sgd(0.1, 32, 40), None, _sgd(0.1, 64, 15)),
    Case("digits-wide", "digits", "cnn@width=128", "cnn@width=64", 100, _sgd(0.1, 64, 10), None, _sgd(0.1, 64, 15)),
    Case("digits-gru", "digits", "@Recurrent@hidden=24", "@LeNet", 20, _adamw(0.005, 32, 40), None, _sgd(0.05, 64, 20)),
    Case(
        "digits-half", "digits", "@Sequential@hidden=32", "@Sequential@hidden=128", 10, _sgd(0.1, 32, 40),
        "digits-few", _sgd(0.1, 64, 20), same_classes=False,
    ),
    Case(
        "fashion-perceptron", "fashion", "@Perceptron@hidden=100-50-25", "@Perceptron", 20, _sgd(0.05, 50, 60),
        None, _sgd(0.05, 128, 8),
    ),
    Case(
        "fashion-perceptron-few", "fashion", "@Perceptron@hidden=50-25", "@Perceptron", 5, _sgd(0.05, 16, 60),
        None, _sgd(0.05, 128, 8),
    ),
    Case("fashion-mlp", "fashion", "mlp@hidden=32", "mlp@hidden=256", 50, _sgd(0.1, 64, 30), None, _sgd(0.05, 128, 8)),
    Case(
        "fashion-one-layer", "fashion", "@Sequential@depth=1@hidden=48", "@Sequential@hidden=256", 20,
        _adamw(0.003, 32, 30), None, _sgd(0.05, 128, 8),
    ),
    Case(
        "fashion-plain", "fashion", "@PlainCNN@width=6", "@PlainCNN", 50, _adamw(0.003, 32, 15),
        None, _adamw(0.003, 128, 4),
    ),
    Case("fashion-lenet", "fashion", "@LeNet@width=6", "@LeNet", 300, _sgd(0.05, 256, 10), None, _sgd(0.05, 128, 4)),
    Case("fashion-mixer", "fashion", "@Mixer", "mlp@hidden=256", 50, _adamw(0.002, 64, 20), None, _sgd(0.05, 128, 8)),
    Case("cifar-depthwise", "cifar16", "@Depthwise", "cnn@width=64", 50, _sgd(0.1, 64, 15), None, _sgd(0.1, 128, 8)),
    Case(
        "cifar-vit", "cifar16", "vit@patch=4@depth=2@dim=32", "cnn@width=64", 100, _adamw(0.001, 64, 12),
        None, _sgd(0.1, 128, 8),
    ),
    Case(
        "cifar-resnet", "cifar32", "resnet8@width=0.5", "resnet20", 50, _sgd(0.1, 64, 8),
        teacher_file="cifar10_resnets/resnet20.safetensors",
    ),
    Case(
        "tiny-other-classes", "tiny32", "cnn@width=32", "resnet20", 20, _sgd(0.05, 32, 12),
        teacher_file="cifar10_resnets/resnet20.safetensors", same_classes=False,
    ),
    Case(
        "views-gelu", "view1", "@Sequential@hidden=32@activation=GELU@norm=true",
        "@Sequential@hidden=128@activation=GELU@norm=true@depth=3", 5, _adamw(0.002, 16, 40), None,
        _adamw(0.002, 64, 20),
    ),
    Case("views-cheap", "view3", "mlp@hidden=64", "mlp@hidden=128", 10, _sgd(0.05, 32, 40), None, _sgd(0.05, 64, 20)),
    Case(
        "sst2-tanh", "sst2", "@Sequential@hidden=32@activation=Tanh", "@Sequential@hidden=256", 100,
        _sgd(0.05, 32, 20), None, _sgd(0.02, 128, 15),
    ),
    Case(
        "mnist-public", "mnist", "@Perceptron@hidden=100-50-25", "@Perceptron", 20, _sgd(0.05, 50, 60),
        teacher_file="perceptron.safetensors",
    ),
    Case("sst2-all", "sst2", "mlp@hidden=128", "mlp@hidden=64", 3000, _sgd(0.05, 256, 5), None, _sgd(0.02, 128, 15)),
]  # fmt: skip
