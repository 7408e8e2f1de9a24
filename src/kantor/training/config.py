"""The settings of one training run, as the command line and YAML have them."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from kantor.core.errors import ConfigError
from kantor.core.shape import MOST, check_settings
from kantor.training.schedule import Schedule
from kantor.training.trackers import tracker_names

LACKED: dict[int, dict[str, Any]] = {
    1: {"accumulate": 1, "validate_every": 1, "tune_lr": [], "on_collapse": "continue", "limit": None},
    2: {"text": None, "tokenizer": "auto", "max_length": None},
    3: {"top_logits": None},
}
"""By an earlier format of a run's folder (:mod:`kantor.results.format`): the settings that such a folder may lack, each
with the value that leaves a run as it was without it."""


@dataclass(kw_only=True)
class Training:
    """How a student is trained.

    Args:
        epochs: passes over the training part.
        batch_size: samples per step, over all processes.
        accumulate: parts that each batch is trained in, one after the other: their gradients add up, and the step is
            that of the whole batch, in less memory. Losses and batch norm see each part by itself.
        unlabelled_batch: samples without labels that come beside each batch, where there are some; batch_size if left
            out.
        optimizer: sgd (Nesterov momentum .9) or adamw.
        lr: peak learning rate.
        weight_decay: weight decay of the student and of the losses' own parameters; l2_sp takes its place on the
            student.
        head_lr: what the classifier's learning rate is multiplied by.
        lr_factors: the same for other modules of the student, by path, as layer1=0.1,layer2=0.3 (in YAML also a
            mapping).
        freeze: modules of the student that stay as they are, running statistics included: paths separated by commas.
        schedule: learning rate over training.
        warmup: share of training over which the learning rate rises to its peak.
        clip: largest gradient norm of a step, so that none can wreck the student; null does not clip.
        precision: no (float32), bf16 or fp16 mixed precision.
        augment: none, mirror (teacher outputs stay cacheable) or crop+mirror; auto mirrors colour images.
        select: student kept at the end, that of the best validation epoch or the last; auto is best if there is
            a validation part.
        validate_every: epochs between looks at the validation part, and always after the last one; the best is chosen
            among these. A large one is most of the time of a training with few labels.
        on_collapse: stop ends the training of a student that has been at chance on the validation part for some
            epochs. It is said at the end in either case.
        checkpoint_every: steps between checkpoints; 0 for one per epoch.
        record_plans: epochs between records of the transport plan, as every=N, and always the last one's;
            every=0 for none.
        log_every: steps between lines of metrics; 0 for epochs only.
        device: auto takes a GPU if there is one.
        trackers: live dashboards, separated by commas: tensorboard, wandb, mlflow; none if left out. Results do not
            depend on it.
    """

    epochs: int = 10
    batch_size: int = 128
    accumulate: int = 1
    unlabelled_batch: int | None = None
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.1
    weight_decay: float = 5e-4
    head_lr: float = 1.0
    lr_factors: str | dict[str, float] | None = None
    freeze: str | list[str] | None = None
    schedule: Schedule = "onecycle"
    warmup: float = 0.0
    clip: float | None = 5.0
    precision: Literal["no", "bf16", "fp16"] = "no"
    augment: Literal["auto", "none", "mirror", "crop+mirror"] = "auto"
    select: Literal["auto", "best", "last"] = "auto"
    validate_every: int = 1
    on_collapse: Literal["continue", "stop"] = "continue"
    checkpoint_every: int = 0
    record_plans: str = "every=1"
    log_every: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    trackers: str | None = None

    def telling(self) -> dict[str, Any]:
        """The settings by which runs are told apart; one of ``LACKED`` only where it changes something, so that
        what was begun before it came can be resumed, and trained teachers are found again."""
        unsaid = {key: value for lacked in LACKED.values() for key, value in lacked.items()}
        return {key: value for key, value in asdict(self).items() if key not in unsaid or value != unsaid[key]}

    def check(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigError: names the setting and what it takes.
        """
        check_settings(self)
        for name in ("epochs", "batch_size", "accumulate", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1, not {getattr(self, name)}.")
        if self.accumulate > self.batch_size:
            raise ConfigError(f"accumulate {self.accumulate} is more parts than the batch_size has samples.")
        if self.unlabelled_batch is not None and self.unlabelled_batch < 1:
            raise ConfigError(f"unlabelled_batch is at least 1, not {self.unlabelled_batch}.")
        for name in ("checkpoint_every", "log_every"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is a number of steps, 0 or more, not {getattr(self, name)}.")
        if not self.lr > 0:
            raise ConfigError(f"lr must be positive, not {self.lr}.")
        for name, factor in {"head_lr": self.head_lr, **self.factors()}.items():
            if not factor > 0:
                raise ConfigError(f"{name}: a learning rate's factor is positive, not {factor}; to hold it, freeze.")
            if factor * self.lr > MOST:
                raise ConfigError(f"{name} {factor:g} times lr {self.lr:g} is more than is computed with.")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay is zero or positive, not {self.weight_decay}.")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup is a share of training in [0, 1), not {self.warmup}.")
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(f"clip must be positive, not {self.clip}.")
        if self.precision == "fp16" and (self.device == "cpu" or not torch.cuda.is_available()):
            raise ConfigError("precision fp16 needs a GPU: its scaled gradients do. On a CPU use bf16, or no.")
        self.plans_every()
        tracker_names(self.trackers)

    def frozen(self) -> list[str]:
        """Paths of the modules that are frozen."""
        given = self.freeze.split(",") if isinstance(self.freeze, str) else self.freeze or []
        return [path.strip() for path in given if path.strip()]

    def factors(self) -> dict[str, float]:
        """``lr_factors`` as a mapping.

        Raises:
            ConfigError: it is not of the form PATH=FACTOR,PATH=FACTOR.
        """
        given = self.lr_factors or {}
        if not isinstance(given, str):
            return {path: float(factor) for path, factor in given.items()}
        try:
            return {path.strip(): float(factor) for path, factor in (one.split("=") for one in given.split(","))}
        except ValueError:
            raise ConfigError(f"lr_factors is written layer1=0.1,layer2=0.3, not {given!r}.") from None

    def plans_every(self) -> int:
        """Epochs between records of the plan; 0 for none.

        Raises:
            ConfigError: ``record_plans`` is not of the form every=N.
        """
        key, _, number = self.record_plans.partition("=")
        if key != "every" or not number.isdecimal():
            raise ConfigError(f"record_plans is every=N with N epochs (every=0 for none), not {self.record_plans!r}.")
        return int(number)
