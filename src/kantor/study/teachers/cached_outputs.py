"""What is kept of a teacher's outputs at step 0: whether, what, and the filling of its cache."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kantor.core.collectives import rank, wait_for_all
from kantor.core.errors import ConfigError, not_finite_in
from kantor.data import Augment, Batch, DataSet, LayerSpec, Part, TeacherCache
from kantor.models import Model
from kantor.objective import LiveTeacher, Read
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.study import Study
from kantor.training.batches import augmentation
from kantor.training.device import chosen_device
from kantor.training.loop import Report
from kantor.training.plan_samples import samples_for_plans


def cacheable(config: Study, data: DataSet) -> bool:
    """Whether the teachers' outputs are kept, as ``cache`` says: what the augmentation shows must come again.

    Raises:
        ConfigError: they should be, and cannot.
    """
    augment = augmentation(config, data)
    if config.cache == "off":
        return False
    if augment.views is None:
        if config.cache == "on":
            raise ConfigError(
                f"cache is on, but {augment.name} shows the teacher a new image every time. "
                "Use --augment mirror or none, or --cache off."
            )
        return False
    return config.cache == "on" or augment.views <= config.epochs


def fill(
    config: Study,
    run: Path,
    data: DataSet,
    models: dict[str, Model],
    plan: Prepared,
    reads: dict[str, set[Read]],
    say: Callable[[str], None],
    report: Report,
) -> None:
    """Compute what the caches lack, on all cores or the GPU; the main process alone writes."""
    device = chosen_device(config.device)
    parts = [(data.shown, augmentation(config, data))]
    if plan.pairs:
        parts.append((samples_for_plans(data), Augment.named("none")))
    for name, model in models.items():
        outputs = _outputs(model.to(device), reads[name], device)
        for part, augment in parts:
            digest, seen = plan.teachers[name]["digest"], part.seen_by(data.role_of(name))
            cache = open_cache(run.parent / "cache", seen, augment, digest, plan.layers(name), config.cache_limit)
            if part is data.shown:
                size = f"{len(part):,} samples x {augment.views} view{'s' if augment.views != 1 else ''}"
                why = "; ".join(dict.fromkeys(cache.missing.values()))
                doing = f"Caching {name}'s outputs on {size} ({cache.bytes / 1e6:.0f} MB; {why})"
                say(f"\n{doing if cache.missing else f'Outputs of {name} on {size} found'} in {cache.folder}.")
            if rank() == 0:
                with not_finite_in(f"Teacher {name}"):
                    cache.fill(outputs, config.batch_size, partial(_filling, report, name))
        model.cpu()
    wait_for_all()


def open_cache(
    root: Path, part: Part, augment: Augment, digest: str, layers: dict[str, LayerSpec], limit_gb: float
) -> TeacherCache:
    """The cache of one teacher's outputs on one part, as the teacher sees it (:meth:`~kantor.data.Part.seen_by`).

    Raises:
        ConfigError: it would be larger than the limit.
    """
    return TeacherCache.open(
        root,
        part=part,
        augment=augment,
        role="teacher",
        teacher=digest,
        layers=layers,
        limit_bytes=int(limit_gb * 1e9),
    )


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
    report({"stage": f"outputs of {name}", "step": done, "steps": total})
