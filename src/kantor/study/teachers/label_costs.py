"""Label costs of a study: made once at step 0, kept in the run's folder for every process."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from kantor.core.errors import ConfigError, DataError, KantorError
from kantor.core.files import read_npz, write_with
from kantor.core.reading import DAMAGED
from kantor.data import DataSet
from kantor.faculty.label_cost import CostMaker
from kantor.faculty.outputs import Outputs, outputs_of
from kantor.losses import LabelCost, TransferLoss
from kantor.models import Model
from kantor.objective import Term
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.teachers.find import model_for
from kantor.training.loop import Report

_FILE = "label-costs.npz"


def needs_cost(term: Term) -> bool:
    """Whether it compares label spaces."""
    return isinstance(term.loss, TransferLoss) and term.loss.needs_label_cost


def label_costs_for(
    study: ResolvedStudy, data: DataSet, models: Mapping[str, Model], root: Path, report: Report
) -> tuple[dict[str, LabelCost], dict[str, str]]:
    """The label costs where a method needs them; and which methods are left out, and why, where they cannot be made.

    Args:
        study, data, models, root, report: see :func:`make_label_costs`.

    Raises:
        ConfigError, DataError: they cannot be made, and ``unfit`` says that nothing is to be left out.
    """
    needing = [method.name for method in study.methods if any(needs_cost(term) for term in method.terms)]
    if study.label_cost is None or not models or not needing:
        return {}, {}
    try:
        return make_label_costs(study, data, models, root, report), {}
    except (ConfigError, DataError) as error:
        if study.settings.unfit == "refuse":
            raise
        return {}, dict.fromkeys(needing, str(error))


def make_label_costs(
    study: ResolvedStudy, data: DataSet, models: Mapping[str, Model], root: Path, report: Report
) -> dict[str, LabelCost]:
    """The cost from each teacher's classes to the student's, all in one space and on one scale.

    Args:
        study: what is to be done; its ``label_cost`` is set.
        data: its data; what is learned, is learned from the training part.
        models: the teachers.
        root: folder of the caches.
        report: told of progress.

    Raises:
        ConfigError: a teacher's class names are needed and not known.
        DataError: a name has no vector.
    """
    assert study.label_cost is not None
    source, settings = study.label_cost, study.settings

    def outputs(model: Model, what: str, role: str) -> Outputs:
        return outputs_of(
            model,
            data.train.seen_by(role),
            root,
            batch_size=settings.batch_size,
            limit_gb=settings.cache_limit,
            device=study.device,
            progress=lambda done, total: report({"doing": what, "step": done, "steps": total}),
        )

    def features(spec: str) -> torch.Tensor:
        found = outputs(model_for(spec, data, "teacher"), "label cost", "teacher").features
        if found is None:
            raise ConfigError(f"{spec} has no layer before its classifier to take class centres in.")
        return found

    names: dict[str, list[str]] = {}
    for name, model in models.items():
        if model.class_names is None and not source.sees_outputs:
            raise ConfigError(
                f"The weights of teacher {name} do not name its {model.num_classes} classes, and the label cost "
                f"{settings.label_cost} is made of names. Give --teacher-classes FILE (one a line), or A,B,C."
            )
        names[name] = model.class_names or [str(k) for k in range(model.num_classes)]
    labels = torch.from_numpy(data.train.targets)
    maker = CostMaker(source, data.classes, labels, features)
    own = {
        name: maker.own(outputs(model, f"teacher {name}", data.role_of(name)).predictions)
        if source.sees_outputs
        else None
        for name, model in models.items()
    }
    for model in models.values():
        model.cpu()
    return maker.costs(names, own)


def hand_over(terms: Iterable[Term], costs: Mapping[str, LabelCost], teachers: Iterable[str]) -> None:
    """Give every term that needs one the label cost of its teacher."""
    only = list(teachers)
    for term in terms:
        if isinstance(term.loss, TransferLoss) and term.loss.needs_label_cost and costs:
            layer = term.teacher if isinstance(term.teacher, str) or term.teacher is None else term.teacher[0]
            name = only[0] if layer is None or ":" not in layer else layer.partition(":")[0]
            term.loss.use(costs[name])  # type: ignore[operator]


def write_costs(run: Path, costs: Mapping[str, LabelCost]) -> None:
    """Keep them in the run's folder."""
    arrays = {
        f"{name}/{part}": matrix.numpy()
        for name, cost in costs.items()
        for part, matrix in vars(cost).items()
        if matrix is not None
    }
    write_with(run / _FILE, lambda file: np.savez(file, **arrays))


def read_costs(run: Path) -> dict[str, LabelCost]:
    """As they were kept; none where the study needs none.

    Raises:
        DataError: they are damaged.
    """
    if not (run / _FILE).exists():
        return {}
    found: dict[str, dict[str, torch.Tensor]] = {}
    arrays = read_npz(run / _FILE, DAMAGED)
    try:
        for key in arrays:
            name, _, part = key.rpartition("/")
            found.setdefault(name, {})[part] = torch.from_numpy(arrays[key])
        return {name: LabelCost(**parts) for name, parts in found.items()}
    except (TypeError, KantorError) as error:  # arrays of other names, kinds or shapes
        raise DataError(f"{run / _FILE} holds no label costs: {error}. {DAMAGED}") from None
