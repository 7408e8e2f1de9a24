"""The pretraining that three methods have: a short SGD run on features alone."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kantor.core.collectives import sum_over_ranks, world_size
from kantor.core.errors import ConfigError
from kantor.losses.base import Features, TransferLoss
from kantor.losses.settings import not_negative, positive, share
from kantor.losses.stages import as_stages


class PretrainingLoss(TransferLoss):
    """A loss whose :meth:`prepare` trains on features before the task is seen, with RepDistiller's settings.

    ``prepared`` is in the state dict, so a resumed run need not prepare again.
    """

    trains_student: ClassVar[bool] = False
    """Pretraining trains the student too, as far as its features reach."""

    def __init__(self, epochs: int = 30, lr: float = 0.05, momentum: float = 0.9, weight_decay: float = 5e-4) -> None:
        super().__init__()
        positive(self.name, epochs=epochs)
        positive(self.name, lr=lr)
        share(self.name, momentum=momentum)
        not_negative(self.name, weight_decay=weight_decay)
        self.epochs, self.lr, self.momentum, self.weight_decay = epochs, lr, momentum, weight_decay
        self.prepared = False

    def pretraining_loss(self, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Tensor:
        """What pretraining minimises."""
        raise NotImplementedError

    def pretraining_parameters(self) -> list[nn.Parameter]:
        """Which of the loss's own parameters it trains."""
        return list(self.parameters())

    def prepare(self, batches: Iterable[tuple[Features, Features]], student: Sequence[nn.Parameter] = ()) -> None:
        """Pretrain: one step of SGD a batch. Under several processes gradients are averaged.

        Args:
            batches: (student, teacher) features of one epoch, iterated once per epoch.
            student: the student's parameters. Those that its features do not depend on (the classifier) stay as
                they are.

        Raises:
            ConfigError: there is no batch for an epoch, or the student is to be trained and no gradient reaches it.
        """
        own = self.pretraining_parameters()
        trained = [*own, *(student if self.trains_student else ())]
        frozen = [parameter for parameter in own if not parameter.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_()
        with torch.enable_grad():
            optimizer = torch.optim.SGD(trained, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
            for epoch in range(self.epochs):
                steps = 0
                for s, t in batches:
                    optimizer.zero_grad()
                    self.pretraining_loss(as_stages(s), as_stages(t)).backward()
                    if self.trains_student and all(parameter.grad is None for parameter in student):
                        raise ConfigError(
                            f"{self.name} trains the student in its pretraining, but its features were computed "
                            "without gradients or from frozen parameters."
                        )
                    _average_gradients(trained)
                    optimizer.step()
                    steps += 1
                if not steps:
                    raise ConfigError(
                        f"{self.name} has a pretraining of {self.epochs} epochs, and no batch was left for "
                        f"number {epoch + 1}. Give prepare() something to iterate over again and again: a DataLoader, "
                        "or loader.epochs()."
                    )
            optimizer.zero_grad()
        for parameter in frozen:
            parameter.requires_grad_(False)
        self.prepared = True

    def silence(self, student: tuple[Tensor, ...]) -> Tensor:
        """Zero, for a loss that is done; with zero gradients, as data-parallel wrappers want all parameters in use."""
        zero = student[0].new_zeros((), dtype=torch.float32)
        return sum((0.0 * p.sum() for p in self.parameters() if p.requires_grad), start=zero)

    def get_extra_state(self) -> Tensor:
        """Whether pretraining is done, as a tensor so that every format can hold it."""
        return torch.tensor(self.prepared)

    def set_extra_state(self, state: Tensor) -> None:
        """Take up what was saved."""
        self.prepared = bool(state)

    def settings(self) -> dict[str, Any]:
        """How long pretraining is, and its SGD's settings."""
        return {"epochs": self.epochs, "lr": self.lr, "momentum": self.momentum, "weight_decay": self.weight_decay}


def _average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    if world_size() > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = sum_over_ranks(parameter.grad) / world_size()
