"""Hugging Face's Trainer: distil in it, or in a Trainer of your own.

What the Trainer wraps for several processes and gives its optimiser is the objective: the student and what the losses
learn. What it saves, evaluates and pushes is the student.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import DynamoBackend
from torch import Tensor, nn

from kantor.capture import call
from kantor.capture.layout import logits_of
from kantor.core.errors import ConfigError, DataError
from kantor.data import as_batch
from kantor.integrations.first_batch import first_batch, random_state_kept
from kantor.integrations.heard import Heard
from kantor.integrations.kept import read_losses, write_losses
from kantor.integrations.recipe import TaskChoice, Teachers, fresh_method, objective_of, without_adapter
from kantor.models.torchvision_unseen import torchvision_unseen
from kantor.objective import Objective, StepZero, Term
from kantor.objective.task_term import labels_expected
from kantor.tasks.task import IGNORED

try:
    with torchvision_unseen():
        from transformers import PreTrainedModel, Trainer, TrainerCallback
except ImportError as error:
    raise ConfigError(f"This needs transformers' Trainer ({error}): pip install 'kantor[transformers]'.") from error

KEPT = "kantor.safetensors"
"""In a checkpoint's folder: what the losses hold."""
_BESIDE = ("ids", "views")
"""Columns that are for losses and kept outputs, not for a network."""

# Checkers see a mixin as what it is mixed into.
_Trainer = Trainer if TYPE_CHECKING else object


class DistillationMixin(_Trainer):
    """Distils in a Trainer of your own: ``class Mine(DistillationMixin, MyTrainer)``.

    Batches are the Trainer's. Student and teachers see the same inputs, or what ``{"student": {...}, "teacher": {...},
    "labels": ...}`` from your collator shows each. A column ``ids`` (the sample's number) reaches the losses and kept
    outputs that need one. Step 0 is printed where training begins; terms are in ``log_history`` as ``terms/NAME``;
    checkpoints hold what losses keep beside the student, and ``resume_from_checkpoint`` ends where the run would have
    ended. ``eval_loss`` is the student's own.

    Args:
        args, kwargs: the Trainer's; ``model`` is the student, of transformers, of PEFT, or any module.
        teachers: a network; or by name, networks or kept outputs (:class:`kantor.objective.CachedTeacher`); None for a
            method without one.
        method: as on the command line, ``"kd+neuron_transport"``; or :class:`kantor.Term` objects.
        task: what labels teach; ``"auto"`` asks the student, None is transfer alone.
        objective: what else :class:`kantor.Objective` takes, by name: ``task_weight``, ``masks``, ``samples``, ...

    Raises:
        ConfigError: something that would be wrong in silence: ``nn.DataParallel``, FSDP or DeepSpeed, a loss of the
            Trainer's that would not be called; or what :class:`kantor.Objective` refuses.
    """

    def __init__(
        self,
        *args: Any,
        teachers: Teachers,
        method: str | Sequence[Term] = "kd",
        task: TaskChoice = "auto",
        objective: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        _refuse_unlike_trainers(self)
        _refuse_losses(self, task)
        self.step0: StepZero | None = None
        """The facts of step 0, once training has begun."""
        settings = {"seed": self.args.seed, "samples": _length(self.train_dataset), **(objective or {})}
        self._recipe: dict[str, Any] = {"teachers": teachers, "method": method, "task": task, **settings}
        self.objective = objective_of(_student(self), **self._recipe)
        self._heard = Heard()
        self._takes_labels = _takes_labels(self.model)
        if not self._takes_labels:  # a module of no library: its columns are known to nobody but the collator
            self.args.remove_unused_columns = False
            self.label_names = self.label_names or ["labels"]
        _compile_student(self)
        self.add_callback(_AfterStep(self))

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """An optimiser of the student and of what the losses learn."""
        return super().create_optimizer(self.objective if model is None else model)

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *_: Any, **__: Any) -> Tensor:
        """One batch, or one part of a step's."""
        self.objective.progress = min(1.0, self.state.global_step / max(1, self.state.max_steps))
        # Without the number of labels the Trainer divides by the number of parts, as a mean asks for.
        return super().training_step(model, inputs)

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective's loss in training; the student's own where it is evaluated."""
        if model is self.model:
            return self._own_loss(inputs, return_outputs, num_items_in_batch)
        result = model(**inputs)
        self._heard.add(result.terms, 1 / self.current_gradient_accumulation_steps)
        return (result.loss, {"loss": result.loss, "logits": result.logits}) if return_outputs else result.loss

    def compute_loss_context_manager(self) -> ExitStack:
        """The precision that is trained in; the student is not wrapped where it is evaluated."""
        stack = super().compute_loss_context_manager()
        stack.enter_context(self.accelerator.autocast())
        return stack

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device) -> tuple[list, Any]:
        """The parts of a step. The task's term is a mean over all their labels, however they are spread."""
        samples, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        task, self.objective.labels_expected = self.objective.task, None
        if len(samples) > 1 and task is not None:
            targets = [batch.targets for batch in (as_batch(**part) for part in samples) if batch.targets is not None]
            counts = [labels_expected(task, x, device) for x in targets]
            self.objective.labels_expected = sum(counts) / len(samples) or None
        return samples, items

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Write down what the Trainer logs, the terms beside a loss of training."""
        if "loss" in logs:
            logs |= {f"terms/{name}": value for name, value in self._heard.told().items()}
        super().log(logs, *args, **kwargs)

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> Any:
        if self.objective.student is not self.model:  # model_init has made another
            self.objective, self.step0 = objective_of(_student(self), **self._fresh_recipe()), None
        self._begin(train_dataloader, resume_from_checkpoint)
        if resume_from_checkpoint is not None:  # before the optimiser's state, which would not say what is wrong
            read_losses(Path(resume_from_checkpoint) / KEPT, self.objective)
        with self._wraps(self.objective):
            return super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)

    def _begin(self, loader: Any, resumed: str | None) -> None:
        """Step 0, and the stage before training of the losses that have one."""
        if self.step0 is not None:
            return
        self.objective.train()
        # Not the prepared loader, which counts its turns.
        batch = self._prepare_inputs(first_batch(getattr(loader, "base_dataloader", loader)))
        with self.accelerator.autocast():
            quiet = resumed is not None or not self.is_world_process_zero()
            self.step0 = self.objective.check(**batch, quiet=quiet)
            if resumed is None:
                self.objective.prepare(_Moved(loader, self._prepare_inputs))

    @contextmanager
    def _wraps(self, objective: Objective) -> Iterator[None]:
        """Let the Trainer wrap the objective, and still know the student as its model."""
        student = self.model
        self.model = objective
        if self.model_wrapped is student:
            self.model_wrapped = objective
        try:
            yield
        finally:
            self.model = self.callback_handler.model = student

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        read_student(Path(resume_from_checkpoint), self.model)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        read_student(Path(self.state.best_model_checkpoint or ""), self.model)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        if not isinstance(self.model, PreTrainedModel):  # which read_student reads anew
            super()._issue_warnings_after_load(load_result)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            write_losses(Path(output_dir) / KEPT, self.objective)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return super()._prepare_inputs(_with_decoders(self.model, inputs))

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns = list(dict.fromkeys([*(self._signature_columns or []), *_BESIDE]))

    def _own_loss(self, inputs: dict[str, Any], return_outputs: bool, items: Any) -> Any:
        """The student's loss on labels, as it computes it itself where it takes labels."""
        shown = inputs.get("student")
        if self._takes_labels:
            rest = {
                name: x for name, x in inputs.items() if name not in (*_BESIDE, "student", *self.objective.teachers)
            }
            seen = {**(shown if isinstance(shown, Mapping) else {}), **rest}
            return super().compute_loss(self.model, seen, return_outputs=return_outputs, num_items_in_batch=items)
        batch = as_batch(**inputs)
        logits = logits_of(call(self.model, batch.inputs["student"]), "the student", batch=len(batch))
        task, loss = self.objective.task, logits.new_zeros(())
        if task is not None and batch.targets is not None:
            loss = task(logits, batch.targets)
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    def _fresh_recipe(self) -> dict[str, Any]:
        return {**self._recipe, "method": fresh_method(self._recipe["method"])}


def read_student(checkpoint: Path, student: nn.Module) -> None:
    """Read a student of transformers from a checkpoint's folder by the names that its file has.

    ``save_pretrained`` writes some networks (ViT) under the names of older versions, and the Trainer's own reading
    passes over those in silence: the student would go on from where it was drawn.

    Raises:
        DataError: the file lacks some of its weights.
    """
    if not (isinstance(student, PreTrainedModel) and (checkpoint / "config.json").exists()):
        return
    with random_state_kept():
        read: Any = type(student).from_pretrained(checkpoint, use_safetensors=True, output_loading_info=True)
        found, told = read
    missing = {name for name in told["missing_keys"] if not name.endswith("num_batches_tracked")}
    if missing or told["mismatched_keys"]:
        wrong = sorted([*missing, *(name for name, *_ in told["mismatched_keys"])])
        raise DataError(f"{checkpoint} lacks weights of the student: {', '.join(wrong[:4])}. It may be damaged.")
    known = {name: x for name, x in found.state_dict().items() if name not in told["missing_keys"]}
    student.load_state_dict(known, strict=False)


class DistillationTrainer(DistillationMixin, Trainer):
    """transformers' Trainer, with teachers and a method of transfer: see :class:`DistillationMixin`.

    Example:
        >>> trainer = DistillationTrainer(
        ...     student, args, train_dataset=data, teachers=teacher, method="kd+neuron_transport"
        ... )
        >>> trainer.train()
        >>> trainer.save_model("student")  # clean: AutoModel.from_pretrained("student") reads it
    """


class _AfterStep(TrainerCallback):
    """Tells the objective of every step of the optimiser."""

    def __init__(self, trainer: DistillationMixin) -> None:
        self.trainer = trainer

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.trainer.objective.after_step()


class _Moved:
    """Batches on the device, again and again."""

    def __init__(self, loader: Iterable[Any], moved: Any) -> None:
        self.loader, self.moved = loader, moved

    def __iter__(self) -> Iterator[Any]:
        return map(self.moved, self.loader)


def _refuse_unlike_trainers(trainer: Any) -> None:
    """Refuse ways to train on several devices in which a term would be wrong, and no error said.

    Raises:
        ConfigError: so it is.
    """
    if not hasattr(Trainer, "_prepare_for_training"):
        raise ConfigError("This needs transformers 5, whose Trainer prepares its model in one place: pip install -U.")
    if trainer.args.n_gpu > 1:
        raise ConfigError(
            "Several GPUs in one process (nn.DataParallel) would lose what losses keep. Start a process for each: "
            "torchrun --nproc-per-node 2 train.py. Or show it one: CUDA_VISIBLE_DEVICES=0."
        )
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        what = "FSDP" if trainer.is_fsdp_enabled else "DeepSpeed"
        raise ConfigError(
            f"{what} inside the Trainer shards the student alone, and the objective would not be what is wrapped. "
            "Use DDP (torchrun), or FSDP2 in a loop of your own: docs/how-to/other-loops.md."
        )


def _refuse_losses(trainer: Any, task: TaskChoice) -> None:
    """Refuse losses of the Trainer's that nobody would call in training.

    Raises:
        ConfigError: there is one; says how to give it.
    """
    if trainer.compute_loss_func is not None or trainer.args.label_smoothing_factor:
        what = "compute_loss_func" if trainer.compute_loss_func is not None else "label_smoothing_factor"
        raise ConfigError(
            f"{what} would not be used: the task's loss is the objective's. Give it as task=, a function of logits and "
            "labels, such as torch.nn.CrossEntropyLoss(label_smoothing=0.1)."
        )
    kinds = type(trainer).__mro__
    after = kinds[kinds.index(DistillationMixin) + 1 :]
    owner = next(kind for kind in after if "compute_loss" in vars(kind))
    if owner is not Trainer and isinstance(task, str):
        raise ConfigError(
            f"{owner.__name__}.compute_loss would not be called in training, only where the student is evaluated. Give "
            "what it computes as task=, a function of logits and labels."
        )


def _student(trainer: Any) -> nn.Module:
    """The Trainer's model.

    Raises:
        ConfigError: it is an objective already.
    """
    if isinstance(trainer.model, Objective):
        raise ConfigError("Give the Trainer the student as its model; it makes the objective by itself.")
    return trainer.model


def _takes_labels(student: nn.Module) -> bool:
    """Whether the student computes a loss from labels by itself."""
    return "labels" in inspect.signature(without_adapter(student).forward).parameters


def _with_decoders(student: nn.Module, inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs with what a decoder sees of the labels, from which it makes that itself where it computes the loss."""
    network, labels = without_adapter(student), inputs.get("labels")
    made = getattr(network, "prepare_decoder_input_ids_from_labels", None)
    if made is None or not isinstance(labels, Tensor) or "decoder_input_ids" in inputs or "student" in inputs:
        return inputs
    return {**inputs, "decoder_input_ids": made(labels=labels), "decoder_attention_mask": (labels != IGNORED).long()}


def _compile_student(trainer: Any) -> None:
    """Compile the student in the objective's place: the objective reads layers by hooks, which compiled code lacks."""
    plugin = trainer.accelerator.state.dynamo_plugin
    if plugin.backend != DynamoBackend.NO:
        trainer.model.compile(**plugin.to_kwargs())
        plugin.backend = DynamoBackend.NO


def _length(data: Any) -> int:
    return len(data) if hasattr(data, "__len__") else 0
