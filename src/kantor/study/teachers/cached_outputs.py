"""What is kept of a teacher's outputs at step 0: whether, what, and the filling of its cache."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kantor.core.collectives import rank, wait_for_all
from kantor.core.errors import ConfigError, not_finite_in
from kantor.core.numbers import size
from kantor.data import Augment, Batch, DataSet, Part, TeacherCache
from kantor.data.kept_array import NOTHING
from kantor.losses import TransferLoss
from kantor.models import Model
from kantor.objective import LiveTeacher, Read
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.study import Study
from kantor.training.batches import augmentation
from kantor.training.device import chosen_device
from kantor.training.loop import Report
from kantor.training.plan_samples import samples_for_plans


def cacheable(config: Study, data: DataSet, losses: Iterable[object] = ()) -> bool:
    """Whether the teachers' outputs are kept, as ``cache`` says: what the augmentation shows must come again, and
    outputs must be of one shape, which the tokens of texts are not.

    Args:
        config: the settings.
        data: the data.
        losses: of all methods.

    Raises:
        ConfigError: they should be, and cannot.
    """
    augment = augmentation(config, data)
    if config.cache == "off":
        return False
    says_tokens = data.kind in ("maps", "next")
    by_token = [loss.name for loss in losses if isinstance(loss, TransferLoss) and _sees_positions(loss, says_tokens)]
    if data.train.tokenizers and by_token:
        if config.cache == "on":
            raise ConfigError(
                f"cache is on, but {by_token[0]} compares token by token, and texts have other numbers of them. Use "
                "--cache off, or a loss that sees their mean."
            )
        return False
    if augment.views is None:
        if config.cache == "on":
            raise ConfigError(
                f"cache is on, but {augment.name} shows the teacher a new image every time. "
                "Use --augment mirror or none, or --cache off."
            )
        return False
    return config.cache == "on" or augment.views <= config.epochs


def _sees_positions(loss: TransferLoss, says_tokens: bool) -> bool:
    """Whether a loss compares token by token, as those of logits do where a model says something of every token."""
    if loss.reads == "logits":
        return says_tokens
    return loss.reads in ("feature", "stages", "sequence_logits") and not loss.pooled


@dataclass(frozen=True)
class KeptOutputs:
    """The teachers' outputs that a run keeps: filled at step 0, and read by every student.

    Args:
        run: the run's folder; caches lie beside it.
        settings: of the study.
        data: its data.
        plan: what step 0 decided.
    """

    run: Path
    settings: Study
    data: DataSet
    plan: Prepared

    def open(self, name: str, part: Part) -> TeacherCache:
        """The cache of one teacher's outputs on one part, as the teacher sees it.

        Students are shown theirs with the study's augmentation; plans are recorded on samples as they are.

        Raises:
            ConfigError: it would be larger than the limit.
        """
        plain = part is not self.data.shown
        return TeacherCache.open(
            self.run.parent / "cache",
            part=part.seen_by(self.data.role_of(name)),
            augment=Augment.named("none") if plain else augmentation(self.settings, self.data),
            role="teacher",
            teacher=self.plan.teachers[name]["digest"],
            layers=self.plan.layers(name),
            limit_bytes=int(self.settings.cache_limit * 1e9),
        )

    def fill(
        self, models: Mapping[str, Model], reads: Mapping[str, set[Read]], say: Callable[[str], None], report: Report
    ) -> None:
        """Compute what the caches lack, on all cores or the GPU; the main process alone writes.

        Args:
            models: the teachers.
            reads: what is kept of each.
            say: told of each cache on what students are shown: its size, why it is filled, where it lies.
            report: told of progress.
        """
        device = chosen_device(self.settings.device)
        parts = [self.data.shown, *([samples_for_plans(self.data)] if self.plan.pairs else [])]
        for name, model in models.items():
            outputs = _outputs(model.to(device), reads[name], device)
            for part in parts:
                cache = self.open(name, part)
                if part is self.data.shown:
                    say(_said(name, cache))
                if rank() == 0:
                    with not_finite_in(f"Teacher {name}"):
                        cache.fill(outputs, self.settings.batch_size, partial(_filling, report, name))
            model.cpu()
        wait_for_all()


def _said(name: str, cache: TeacherCache) -> str:
    samples = f"{len(cache.part):,} samples x {cache.views} view{'s' if cache.views != 1 else ''}"
    reasons = list(dict.fromkeys(cache.missing.values()))
    # Of layers of which nothing is kept, one says it for all.
    first = next((reason for reason in reasons if reason.startswith(NOTHING)), None)
    why = "; ".join(reason for reason in reasons if reason == first or not reason.startswith(NOTHING))
    doing = f"Caching {name}'s outputs on {samples} ({size(cache.bytes)}; {why})"
    return f"\n{doing if cache.missing else f'Outputs of {name} on {samples} found'} in {cache.folder}."


def facts_of(model: Model) -> dict[str, Any]:
    """What step 0 says of a teacher whose outputs are read from its cache."""
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "classes": model.class_names or model.num_classes,
        "mode": "frozen, eval",
    }


def layers_of(name: str, model: Model, reads: set[Read], example: Batch) -> dict[str, tuple[list[int], bool]]:
    """By key, the shape of one sample of each output that is read of a teacher, and whether maps are pooled."""
    outputs = LiveTeacher(model, name=name).outputs(example.first(2), sorted(reads, key=lambda read: read.key))
    return {read.key: (list(x.shape[1:]), read.pooled) for read, x in outputs.items()}


def _outputs(model: Model, reads: set[Read], device: torch.device) -> Callable[[Batch], dict[str, torch.Tensor]]:
    teacher = LiveTeacher(model)
    wanted = sorted(reads, key=lambda read: read.key)

    def outputs(batch: Batch) -> dict[str, torch.Tensor]:
        return {read.key: x.cpu() for read, x in teacher.outputs(batch.to(device), wanted).items()}

    return outputs


def _filling(report: Report, name: str, done: int, total: int) -> None:
    report({"doing": f"outputs of {name}", "step": done, "steps": total})
