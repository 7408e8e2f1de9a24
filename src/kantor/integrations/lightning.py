"""Lightning: a module that distils, and a callback for a module of your own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kantor.capture import call
from kantor.capture.layout import logits_of
from kantor.core.collectives import rank, sum_over_ranks
from kantor.core.errors import ConfigError
from kantor.core.modes import as_trained
from kantor.data import as_batch
from kantor.integrations.first_batch import first_batch, random_state_kept
from kantor.integrations.kept import found_weights, load_losses_state, losses_state, take_weights
from kantor.integrations.random_state import random_states, restore_random_state
from kantor.integrations.recipe import TaskChoice, Teachers, fresh_method, objective_of
from kantor.objective import Objective, StepZero, Term
from kantor.tasks.task import labelled

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule
else:
    try:
        from lightning.pytorch import Callback, LightningModule
    except ImportError:
        try:
            from pytorch_lightning import Callback, LightningModule
        except ImportError as error:
            raise ConfigError(f"This needs Lightning ({error}): pip install 'kantor[lightning]'.") from error

_KEY = "kantor"
"""In a checkpoint: weights that step 0 found, and where random numbers stand."""
_STUDENT = "objective.student."
_PART = "kantor_objective"
"""The objective's name in a module of the user's."""


class Distillation(LightningModule):
    """A LightningModule that trains a student by transfer, and judges it by its task's metrics.

    Batches are what :func:`kantor.data.as_batch` reads: ``(inputs, targets)``, or a mapping. Terms are logged as
    ``terms/NAME``, the loss as ``train_loss``; validation and test as ``val_loss``, ``val_accuracy``, ``test_...``.
    Checkpoints hold student, losses and random numbers, and nothing of a teacher: one that is written at an epoch's end
    resumes bitwise.

    Args:
        student: any module; :attr:`student` is it, to be saved as you save it.
        teachers: a network; or by name, networks or kept outputs; None for a method without one.
        method: as on the command line, ``"kd+neuron_transport"``; or :class:`kantor.Term` objects.
        optimizer: makes what ``configure_optimizers`` returns, of the parameters that learn:
            ``lambda parameters: torch.optim.SGD(parameters, lr=0.05)``.
        task: what labels teach; ``"auto"`` asks the student, None is transfer alone.
        settings: what else :class:`kantor.Objective` takes.

    Raises:
        ConfigError: see :func:`kantor.integrations.recipe.objective_of`; or, when training is set up, manual
            optimisation.
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: Teachers,
        method: str | Sequence[Term] = "kd",
        *,
        optimizer: Callable[[list[nn.Parameter]], Any],
        task: TaskChoice = "auto",
        **settings: Any,
    ) -> None:
        super().__init__()
        self.objective = objective_of(student, teachers, method, task=task, **settings)
        self.step0: StepZero | None = None
        self._optimizer = optimizer
        self._sums: dict[str, Tensor] = {}
        self._random: list[dict[str, Any]] | None = None

    @property
    def student(self) -> nn.Module:
        """What is trained."""
        return self.objective.student

    def forward(self, *given: Any, **named: Any) -> Any:
        """What the student says."""
        return self.student(*given, **named)

    def setup(self, stage: str) -> None:
        """Step 0, before the optimiser is made and the module wrapped."""
        if stage == "fit":
            _refuse_manual(self)
        if stage == "fit" and self.step0 is None:
            self.step0 = _checked(self.objective, self.trainer, self)

    def configure_optimizers(self) -> Any:
        """Of the student and of what losses learn."""
        return self._optimizer([p for p in self.objective.parameters() if p.requires_grad])

    def on_fit_start(self) -> None:
        """Random numbers stand where they stood; a fresh student goes through the losses' own pretraining."""
        _begin(self.objective, self.trainer, self._random)
        self._random = None

    def training_step(self, batch: Any, *_: Any) -> Tensor:
        """The objective's loss."""
        return _loss(self.objective, self.trainer, self, batch)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """A step, of which the losses are told."""
        super().optimizer_step(*args, **kwargs)
        self.objective.after_step()

    def validation_step(self, batch: Any, *_: Any) -> None:
        """Adds up the task's metrics."""
        self._judge(batch)

    def test_step(self, batch: Any, *_: Any) -> None:
        """Adds up the task's metrics."""
        self._judge(batch)

    def predict_step(self, batch: Any, *_: Any) -> Tensor:
        """The student's logits."""
        read = as_batch(batch)
        return logits_of(call(self.student, read.inputs["student"]), "the student", batch=len(read))

    def on_validation_epoch_end(self) -> None:
        """Logs the task's metrics over all processes."""
        self._judged("val")

    def on_test_epoch_end(self) -> None:
        """Logs the task's metrics over all processes."""
        self._judged("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what is no tensor of the module's."""
        checkpoint[_KEY] = {"weights": found_weights(self.objective), "random": random_states()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up what :meth:`on_save_checkpoint` added."""
        kept = checkpoint.get(_KEY, {})
        take_weights(self.objective, kept.get("weights", {}))
        self._random = kept.get("random")

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Student and losses; the student alone where nothing was trained here, and so no losses are built."""
        if self.objective.terms and not self.objective.bound:
            own = {k.removeprefix(_STUDENT): x for k, x in state_dict.items() if k.startswith(_STUDENT)}
            return self.student.load_state_dict(own, strict=strict, assign=assign)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def _judge(self, batch: Any) -> None:
        read, task = as_batch(batch), self.objective.task
        if task is None or read.targets is None:
            return
        logits = logits_of(call(self.student, read.inputs["student"]), "the student", batch=len(read))
        found = {
            **task.measured(logits, read.targets),
            "loss": task.loss_sums(labelled(logits, read.targets), read.targets),
        }
        self._sums = {name: self._sums[name] + x if name in self._sums else x for name, x in found.items()}

    def _judged(self, part: str) -> None:
        task, sums = self.objective.task, {name: sum_over_ranks(x) for name, x in self._sums.items()}
        self._sums = {}
        if task is None or not sums:
            return
        total, counted = sums.pop("loss").tolist()
        told = {"loss": total / counted if counted else float("nan"), **task.values(sums)}
        self.log_dict({f"{part}_{name}": torch.tensor(value) for name, value in told.items()}, rank_zero_only=False)


class DistillationCallback(Callback):
    """Transfer for a LightningModule of your own: ``Trainer(callbacks=[DistillationCallback(...)])``.

    The module keeps its data, optimiser, validation and logging. Its ``training_step`` is not called: the training loss
    is the objective's, of the batch as the loader gives it, and ``task`` says what labels teach in it. The module's
    state dict stays as it was; what losses hold is the callback's, in the same checkpoint.

    Args:
        student: where the student is in the module: ``"model"``, ``"encoder.net"``.
        teachers: a network; or by name, networks or kept outputs; None for a method without one.
        method: as on the command line; or :class:`kantor.Term` objects.
        task: a :class:`kantor.Task`, or a function of logits and labels; ``"auto"`` asks the student; None is transfer
            alone.
        settings: what else :class:`kantor.Objective` takes.

    Raises:
        ConfigError: when training is set up: there is no such student, the module optimises by hand, or what
            :class:`kantor.Objective` refuses.
    """

    def __init__(
        self,
        student: str,
        teachers: Teachers,
        method: str | Sequence[Term] = "kd",
        *,
        task: TaskChoice,
        **settings: Any,
    ) -> None:
        self._student = student
        self._recipe: dict[str, Any] = {"teachers": teachers, "method": method, "task": task, **settings}
        self.objective: Objective | None = None
        """Made where training is set up."""
        self.step0: StepZero | None = None
        self._random: list[dict[str, Any]] | None = None

    def setup(self, trainer: Any, pl_module: LightningModule, stage: str) -> None:
        """Step 0; from here on the module trains by the objective."""
        if stage != "fit":
            return
        _refuse_manual(pl_module)
        _give_back_steps(pl_module)
        objective = self._objective_of(trainer, pl_module)
        steps = pl_module.optimizer_step

        def training_step(batch: Any, *_: Any) -> Tensor:
            return _loss(objective, trainer, pl_module, batch)

        def optimizer_step(*args: Any, **kwargs: Any) -> None:
            steps(*args, **kwargs)
            objective.after_step()

        pl_module.training_step, pl_module.optimizer_step = training_step, optimizer_step

    def teardown(self, trainer: Any, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """The module's own steps are its own again."""
        _give_back_steps(pl_module)

    def on_fit_start(self, trainer: Any, pl_module: LightningModule) -> None:
        """Random numbers stand where they stood; a fresh student goes through the losses' own pretraining."""
        assert self.objective is not None
        self.objective.to(pl_module.device)
        _begin(self.objective, trainer, self._random)
        self._random = None

    def state_dict(self) -> dict[str, Any]:
        """What losses hold, the weights that step 0 found, and where random numbers stand."""
        if self.objective is None:
            return {}
        kept = losses_state(self.objective)
        return {"losses": kept, "weights": found_weights(self.objective), "random": random_states()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave."""
        if self.objective is not None and state_dict:
            load_losses_state(self.objective, state_dict["losses"], "The checkpoint")
            take_weights(self.objective, state_dict["weights"])
            self._random = state_dict["random"]

    def _objective_of(self, trainer: Any, module: LightningModule) -> Objective:
        """The module's objective; of another module than before another."""
        parts = dict(module.named_modules())
        if not self._student or self._student not in parts:
            raise ConfigError(
                f"{type(module).__name__} has no module {self._student!r} to be the student. Name the attribute that "
                "holds the network, such as 'model'."
            )
        student = parts[self._student]
        if self.objective is None or self.objective.student is not student:
            if self.objective is not None:
                self._recipe["method"] = fresh_method(self._recipe["method"])
            self.objective = objective_of(student, **self._recipe)
            self.step0 = _checked(self.objective, trainer, module)
            _attach(module, self.objective)
        return self.objective


def _give_back_steps(module: LightningModule) -> None:
    """Undo what setup did to a module. Lightning tears no callback down where training is interrupted."""
    for name in ("training_step", "optimizer_step"):
        vars(module).pop(name, None)


def _refuse_manual(module: LightningModule) -> None:
    """Refuse a module that takes its steps itself, in a training step that is not called here: nothing would learn.

    Raises:
        ConfigError: so it is.
    """
    if not module.automatic_optimization:
        raise ConfigError(
            f"{type(module).__name__} has automatic_optimization = False: it takes its steps in its training_step, "
            "which is not called while it distils. Leave the steps to Lightning; or call a kantor.Objective in your "
            "training_step, as in a loop of your own: docs/how-to/own-loop.md."
        )


def _checked(objective: Objective, trainer: Any, module: LightningModule) -> StepZero:
    """Step 0 on the first batch of training, as if nobody had looked at it."""
    as_trained(objective)
    with random_state_kept():
        batch = first_batch(trainer.fit_loop._data_source.dataloader())
        batch = module.on_after_batch_transfer(module.on_before_batch_transfer(batch, 0), 0)
        with trainer.precision_plugin.forward_context():
            return objective.check(batch, quiet=rank() > 0)


def _begin(objective: Objective, trainer: Any, random: list[dict[str, Any]] | None) -> None:
    if random is not None:
        restore_random_state(random)
    elif trainer.ckpt_path is None:
        objective.prepare(_Moved(trainer))


def _loss(objective: Objective, trainer: Any, module: LightningModule, batch: Any) -> Tensor:
    """The loss of a batch, written down beside its terms."""
    steps = trainer.estimated_stepping_batches
    objective.progress = min(1.0, trainer.global_step / steps) if 0 < steps < float("inf") else 0.0
    result = objective(batch)
    size = len(result.logits)
    told = {"train_loss": result.loss, **{f"terms/{name}": value for name, value in result.terms.items()}}
    module.log_dict({name: x.detach() for name, x in told.items()}, batch_size=size, sync_dist=trainer.world_size > 1)
    return result.loss


class _Moved:
    """Batches of training on the device, again and again."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def __iter__(self) -> Iterator[Any]:
        loader = self.trainer.fit_loop._data_source.dataloader()
        return (self.trainer.strategy.batch_to_device(batch) for batch in loader)


def _attach(module: nn.Module, objective: Objective) -> None:
    """Make the objective a part of the module, for wrappers and optimisers, of which its state dict says nothing."""

    def leave_out(_module: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
        for key in [key for key in state if key.startswith(f"{prefix}{_PART}.")]:
            del state[key]

    def fill_in(_module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        own = objective.state_dict(prefix=f"{prefix}{_PART}.")
        student = f"{prefix}{_PART}.student."
        # The student's are those that are loaded under the module's own names.
        place = next(name for name, part in module.named_modules() if part is objective.student)
        for key, x in own.items():
            theirs = key.replace(student, f"{prefix}{place}.", 1)
            state.setdefault(key, state.get(theirs, x) if key.startswith(student) else x)

    module.add_module(_PART, objective)
    module.register_state_dict_post_hook(leave_out)
    module.register_load_state_dict_pre_hook(fill_in)
