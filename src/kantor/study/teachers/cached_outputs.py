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
from kantor.data import Augment, Batch, DataSet, LayerSpec, Part, TeacherCache
from kantor.data.kept_array import NOTHING
from kantor.losses import TransferLoss
from kantor.models import Model
from kantor.objective import LiveTeacher, Read
from kantor.objective.teachers import top_keys
from kantor.results.records import KeptLayer
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.study import Study
from kantor.training.batches import augmentation
from kantor.training.device import chosen_device
from kantor.training.loop import Report
from kantor.training.plan_samples import samples_for_plans


def cacheable(config: Study, data: DataSet, losses: Iterable[object] = ()) -> bool:
    """Whether the teachers' outputs are kept, as ``cache`` says: what the augmentation shows must come again, and
    outputs must be of one shape, which the tokens of texts are not, but for logits of which ``top_logits`` are kept.

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
    by_token = [loss for loss in losses if isinstance(loss, TransferLoss) and _sees_positions(loss, says_tokens)]
    if config.top_logits is not None:
        by_token = [loss for loss in by_token if loss.reads not in ("logits", "sequence_logits")]
    if data.train.tokenizers and by_token:
        if config.cache == "on":
            of_logits = by_token[0].reads in ("logits", "sequence_logits")
            likeliest = ", --top-logits 64 to keep the likeliest tokens' logits" if of_logits else ""
            raise ConfigError(
                f"cache is on, but {by_token[0].name} compares token by token, and texts have other numbers of them. "
                f"Use --cache off{likeliest}, or a loss that sees their mean."
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
            teacher = LiveTeacher(model.to(device), top=self.settings.top_logits)
            outputs = _outputs(teacher, reads[name], self.plan.layers(name), device)
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
    each = _bytes_per_token(cache)
    large = f"{size(cache.bytes)}{f', {each:,} bytes a token' if each else ''}"
    doing = f"Caching {name}'s outputs on {samples} ({large}; {why})"
    return f"\n{doing if cache.missing else f'Outputs of {name} on {samples} found'} in {cache.folder}."


def _bytes_per_token(cache: TeacherCache) -> int:
    """Of logits of which the likeliest are kept; 0 where there are none."""
    tops = {key for key in top_keys(Read("logits")) if key in cache.layers}
    return sum(cache.layers[key].shape[1] * cache.layers[key].dtype.itemsize for key in tops)


def facts_of(model: Model) -> dict[str, Any]:
    """What step 0 says of a teacher whose outputs are read from its cache."""
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "classes": model.class_names or model.num_classes,
        "mode": "frozen, eval",
    }


def layers_of(teacher: LiveTeacher, reads: set[Read], example: Batch, longest: int) -> dict[str, KeptLayer]:
    """By key, what is kept of each output that is read of a teacher: the shape of one sample, whether maps are pooled,
    and its type where it is not that of numbers.

    Args:
        teacher: the network.
        reads: its outputs.
        example: a batch of what it sees.
        longest: tokens of a text at most; logits per token are kept as if all had so many.
    """
    found = teacher.kept(example.first(2), _in_order(reads))
    types = () if teacher.top is None else _types(teacher)
    tops = {key: dtype for read in reads for key, dtype in zip(top_keys(read), types, strict=False)}
    kept: dict[str, KeptLayer] = {
        read.key: (list(found[read.key].shape[1:]), read.pooled) for read in _in_order(reads) if read.key in found
    }
    return kept | {key: ([longest, found[key].shape[2]], False, tops[key]) for key in found if key in tops}


def _types(teacher: LiveTeacher) -> tuple[str, str]:
    """Of log probabilities, and of the numbers of their tokens."""
    classes = teacher.facts["classes"]
    vocabulary = classes if isinstance(classes, int) else len(classes)
    return "float16", "uint16" if vocabulary <= 1 << 16 else "int32"


def _in_order(reads: set[Read]) -> list[Read]:
    return sorted(reads, key=lambda read: read.key)


def _outputs(
    teacher: LiveTeacher, reads: set[Read], layers: Mapping[str, LayerSpec], device: torch.device
) -> Callable[[Batch], dict[str, torch.Tensor]]:
    def outputs(batch: Batch) -> dict[str, torch.Tensor]:
        found = teacher.kept(batch.to(device), _in_order(reads))
        tops = {key for read in reads for key in top_keys(read)}
        return {key: _filled(x.cpu(), layers[key].shape[0]) if key in tops else x.cpu() for key, x in found.items()}

    return outputs


def _filled(x: torch.Tensor, tokens: int) -> torch.Tensor:
    """With zeros after a batch's longest text."""
    return torch.nn.functional.pad(x, (0, 0, 0, tokens - x.shape[1]))


def _filling(report: Report, name: str, done: int, total: int) -> None:
    report({"doing": f"outputs of {name}", "step": done, "steps": total})
