"""One step of training: a batch forward and backward, in parts where that is asked for, and the optimiser."""

import math
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import ConfigError, NonFiniteError
from kantor.data import Batch
from kantor.objective import Objective, Result
from kantor.objective.task_term import labels_expected
from kantor.tasks import Task
from kantor.training.config import Training
from kantor.training.finite import check_gradient, check_loss, explained
from kantor.training.groups import FACTOR, parameter_groups
from kantor.training.trackers import accelerator_settings


@dataclass
class Measured:
    """What one step measured of the global batch."""

    values: dict[str, float] = field(default_factory=dict)
    """Loss and terms."""
    counts: dict[str, Tensor] = field(default_factory=dict)
    """What the task's metrics add up."""
    shares: dict[str, float] = field(default_factory=dict)
    """Of each term in the gradient's norm; empty where it was not asked for."""

    def add(self, values: dict[str, float], counts: dict[str, Tensor], weight: float) -> None:
        """Count a part of the batch in, whose share of the samples is ``weight``."""
        if weight == 1:  # the whole batch, to the last digit
            self.values, self.counts = values, counts
            return
        self.values = {name: self.values.get(name, 0.0) + weight * value for name, value in values.items()}
        self.counts = {name: self.counts[name] + x if name in self.counts else x for name, x in counts.items()}


class Stepper:
    """Objective and optimiser on a device, under a precision, in one process or several.

    Args:
        objective: checked, on the CPU; moved to the device.
        config: settings.
        folder: the student's, for dashboards.
    """

    def __init__(self, objective: Objective, config: Training, folder: Path) -> None:
        # Accelerate holds one precision and device per process; the next study may want another.
        AcceleratorState._reset_state(reset_partial_state=world_size() == 1)
        self.accelerator = Accelerator(
            mixed_precision=config.precision,
            cpu=config.device == "cpu",
            # Statistics, memories and potentials are equal on all ranks by construction: nothing to broadcast.
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
            **accelerator_settings(config.trackers, folder),
        )
        self.device = self.accelerator.device
        self.objective, self.config = objective.to(self.device), config
        self.last = folder / "checkpoints" / "last.pt"
        self.optimizer = self.accelerator.prepare_optimizer(_optimizer(objective, config))
        self._wrapped = _wrapped(self.accelerator, objective)

    def state(self) -> dict[str, dict]:
        """What a checkpoint keeps."""
        state = {"objective": self.objective.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.accelerator.scaler is not None:
            state["scaler"] = self.accelerator.scaler.state_dict()
        return state

    def load(self, state: dict[str, dict]) -> None:
        """Go on from what :meth:`state` gave."""
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def step(
        self, batch: Batch, number: int, rate: float, shares: Callable[[], AbstractContextManager[None]] | None
    ) -> Measured:
        """Take one step.

        Gradients of the batch's parts add up before the optimiser moves, and the losses' memories and statistics are
        committed once, over all of them (:meth:`kantor.objective.Objective.after_step`).

        Args:
            batch: on any device.
            number: steps taken before.
            rate: learning rate, which each group's factor multiplies.
            shares: measure each term's share of the gradient, of the last part; makes a context in which the time for
                it is not counted. None measures nothing.

        Raises:
            ConfigError: the loss has no gradient.
            NonFiniteError: a loss, or the gradient's norm, is not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group[FACTOR] * rate
        batch = batch.to(self.device)
        parts, found = batch.parts(self.config.accumulate), Measured()
        task, labels = self.objective.task, None
        if len(parts) > 1 and task is not None and batch.targets is not None:
            labels = labels_expected(task, batch.targets, self.device)
        for place, part in enumerate(parts):
            weight = len(part) / len(batch)
            # Of parts with more labels than their share the task counts for more.
            self.objective.labels_expected = None if labels is None else labels * len(part) / len(batch)
            ends = place == len(parts) - 1
            with nullcontext() if ends or world_size() == 1 else self.accelerator.no_sync(self._wrapped):
                try:
                    result: Result = self._wrapped(part)
                except NonFiniteError as error:
                    raise explained(error, self.objective, part, self.last) from error
                values, counts = _values(result, part, self.objective.task)
                check_loss(values, result, self.objective, part, self.last)
                found.add(values, counts, weight)
                if ends and shares is not None:
                    with shares():
                        found.shares = _gradient_shares(self.objective, result, self.accelerator)
                if not result.loss.requires_grad:
                    raise ConfigError(
                        "The loss has no gradient: the network's outputs are detached or whole numbers, computed under "
                        "torch.no_grad(), or all that they come from is frozen. Give one that can be trained."
                    )
                self.accelerator.backward(result.loss if weight == 1 else weight * result.loss)
        if self.config.clip is not None:
            norm = self.accelerator.clip_grad_norm_(self.objective.parameters(), self.config.clip)
            if self.accelerator.scaler is None:  # which skips such a step itself
                check_gradient(norm, number, self.last)
        self.objective.labels_expected = None
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.objective.after_step()
        return found

    def close(self) -> None:
        """Let go of the wrapper, which must not outlive its process group."""
        del self._wrapped
        self.accelerator.free_memory()


def _optimizer(objective: Objective, config: Training) -> torch.optim.Optimizer:
    groups = parameter_groups(objective, config)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, nesterov=True)


def _wrapped(accelerator: Accelerator, objective: Objective) -> Callable[[Batch], Result]:
    if world_size() > 1:
        with warnings.catch_warnings():
            # Newer torch renames the option that Accelerate passes.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return accelerator.prepare_model(objective)

    # One process needs no wrapper: the objective's forward under autocast is all there is to it.
    def run(batch: Batch) -> Result:
        with accelerator.autocast():
            return objective(batch)

    return run


def _values(result: Result, batch: Batch, task: Task | None) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Loss and terms of the global batch, and what the task's metrics add up of it.

    In one transfer: a GPU waits once a step, not once a number.
    """
    with torch.no_grad():
        values = {"loss": result.loss, **result.terms}
        counts = {} if task is None or batch.targets is None else task.measured(result.logits, batch.targets)
        numbers = [torch.stack([value.double() for value in values.values()]), *(x.flatten() for x in counts.values())]
        means, *sums = sum_over_ranks(torch.cat(numbers)).cpu().split([len(x) for x in numbers])
    shaped = {name: flat.reshape(like.shape) for (name, like), flat in zip(counts.items(), sums, strict=True)}
    return dict(zip(values, (means / world_size()).tolist(), strict=True)), shaped


def _gradient_shares(objective: Objective, result: Result, accelerator: Accelerator) -> dict[str, float]:
    # From the graph of a step that is taken anyway, so it touches neither generators nor statistics nor memories.
    scale = 1.0 if accelerator.scaler is None else accelerator.scaler.get_scale()
    shares = objective.gradient_shares(result, scale)
    # Half precision may overflow, which the scaler answers by skipping the step.
    return shares if all(math.isfinite(share) for share in shares.values()) else {}
