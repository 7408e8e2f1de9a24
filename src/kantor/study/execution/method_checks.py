"""Every method tried on one batch, before any student trains."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from kantor.core.errors import ConfigError, KantorError, NonFiniteError, ShapeError
from kantor.core.inputs import Inputs
from kantor.core.modes import as_trained
from kantor.data import Batch, DataSet
from kantor.data.views import role_of
from kantor.losses import LabelCost
from kantor.models import Model, has_weights
from kantor.objective import Balanced, LiveTeacher, Objective, Read, StepZero
from kantor.objective.teachers import KEYED_BY
from kantor.study.execution.learning_notes import how_it_learns
from kantor.study.execution.student import data_for, make_objective, new_student
from kantor.study.settings.methods import Method
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.settings.starting_weights import Given, Start
from kantor.study.teachers.carried_starts import carried_starts
from kantor.study.teachers.channel_worth import Worth, measure_worth
from kantor.study.teachers.find import model_for
from kantor.study.teachers.label_costs import label_costs_for, needs_cost
from kantor.study.teachers.taking_samples import blamed_on_samples
from kantor.study.teachers.vocabularies import NO_MAPS, Maps
from kantor.training.loop import Report


@dataclass
class Checked:
    """What step 0 found of the methods."""

    reads: dict[str, set[Read]]
    """What is read of each teacher."""
    bound: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By method that can be used: its terms as they are bound (:meth:`kantor.objective.Term.record`)."""
    step0: dict[str, Any] = field(default_factory=dict)
    """By method: the facts for the record."""
    left_out: dict[str, str] = field(default_factory=dict)
    """By method that cannot be used: why."""
    worth: Worth = field(default_factory=dict)
    """What teachers' channels are worth, where a method asks."""


class _OnceOnABatch(LiveTeacher):
    """A teacher that is asked the same of one batch by every method, and runs on it once for each layer that is new."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._last: tuple[Any, dict[Read, Tensor]] = None, {}

    def taken(self, batch: Batch, reads: Sequence[Read]) -> dict[Read, Tensor]:
        """The layers as the network gives them."""
        seen = self.sees(batch)
        if self._last[0] is not seen:
            self._last = seen, {}
        found = self._last[1]
        if lacking := [read for read in reads if read not in found]:
            found |= super().taken(batch, lacking)
        return {read: found[read] for read in reads}


@dataclass(frozen=True)
class MethodCheck:
    """Tries methods on one batch.

    Args:
        study: what is to be done.
        data: its data.
        models: the teachers.
        costs: label costs by teacher.
        example: the batch.
        starts: by method, the weights that its students start from.
        cached: the teachers' outputs will be cached, which the print at step 0 says.
        maps: between vocabularies.
    """

    study: ResolvedStudy
    data: DataSet
    models: dict[str, Model]
    costs: dict[str, LabelCost]
    example: Batch
    starts: dict[str, Start | None]
    cached: bool = False
    maps: Maps = field(default_factory=lambda: NO_MAPS)

    @cached_property
    def teachers(self) -> dict[str, LiveTeacher]:
        """The teachers, which all methods share."""
        source = KEYED_BY if self.cached else "run on every batch"
        top = self.study.settings.top_logits
        return {name: _OnceOnABatch(model, source, name, top) for name, model in self.models.items()}

    def one(self, method: Method) -> tuple[Objective, StepZero, Given | None]:
        """One method on the batch.

        Returns:
            Its objective with the losses built; what there is to say of it; what its student starts with.
        """
        study = self.study
        student, given = new_student(study, self.data, study.seeds[0], self.starts[method.name])
        seen = data_for(method, study, self.data)
        objective = make_objective(
            study, seen, student, self.teachers, method, self.costs, seed=0, given=given, maps=self.maps
        )
        as_trained(objective)  # some packages hand out their models in eval mode
        labelled = seen.train.labelled
        with blamed_on_samples(*((model, self._seen_by(name)) for name, model in self.models.items())):
            facts = objective.check(self.example if labelled else replace(self.example, targets=None), quiet=True)
        return objective, facts, given

    def _seen_by(self, teacher: str) -> Inputs:
        """Two samples, as a teacher sees them."""
        few = self.example.first(2).inputs
        return few[role_of(teacher, few)]

    def every(self, methods: list[Method], say: Callable[[str], None]) -> Checked:
        """All methods; those that cannot be used are left out where the settings allow it.

        Raises:
            ConfigError, ShapeError: one cannot be used and none is to be left out; or none can be used.
        """
        of_tokens = bool(self.data.train.tokenizers) and self.data.kind in ("maps", "next")
        always = set() if of_tokens else {Read("logits")}  # of every token they are too much to keep
        found = Checked({name: {*always} for name in self.models})
        for method in methods:
            try:
                objective, facts, given = self.one(method)
                measure_worth(objective, self.models, self.data, found.worth, self.study.device)
            except (ConfigError, ShapeError) as error:
                if self.study.settings.unfit == "refuse":
                    raise
                say(f"\n{method.name} is left out: {error}")
                found.left_out[method.name] = str(error)
                continue
            notes = [*([str(given)] if given else []), *how_it_learns(self.study.settings, objective, given)]
            say("\n".join([f"\n{method.name}", *notes, str(facts)]))
            found.step0[method.name] = facts.record() | {"notes": notes}
            found.bound[method.name] = [b.of(method.terms[b.term]).record() for b in objective.bound]
            for name in self.models:
                found.reads[name] |= set(objective.reads(name))
        if not found.bound:
            raise _none_fits(list(found.left_out.values()))
        return found


def check_untrained(
    study: ResolvedStudy, data: DataSet, example: Batch, root: Path, report: Report, maps: Maps = NO_MAPS
) -> None:
    """Refuse what teachers that must be trained first cannot be used for, while no time has been spent on them.

    What depends on what a trained teacher says waits for it: weights that are found at step 0, and terms with a label
    cost that is made of its outputs. Where the teacher is kept from an earlier run this is seconds spent in vain.

    Args:
        study: what is to be done.
        data: its data.
        example: a training batch.
        root: folder of the caches.
        report: told of progress.
        maps: between vocabularies.

    Raises:
        ConfigError, ShapeError: see above.
    """
    specs, named, source = study.teachers, study.teacher_classes, study.label_cost
    if all(has_weights(spec) for spec in specs.values()):
        return
    models = {name: model_for(spec, data, data.role_of(name), named.get(name)) for name, spec in specs.items()}
    costs: dict[str, LabelCost] = {}
    without: dict[str, str] = {}
    if source is not None and source.kind == "centres":
        model_for(source.argument, data, "teacher")
    if source is not None and not source.sees_outputs:
        costs, without = label_costs_for(study, data, models, root, report)
    waits = source is not None and not costs  # for what a trained teacher says
    with TemporaryDirectory(prefix="kantor-") as untrained:
        starts = carried_starts(study, data, models, Path(untrained), study.seeds[:1])
        check = MethodCheck(study, data, models, costs, example, starts, maps=maps)
        refused = _refused(check, without, waits)
    if len(refused) == len(study.methods):
        raise _none_fits([str(error) for error in refused])


def _refused(check: MethodCheck, without: dict[str, str], waits: bool) -> list[KantorError]:
    """Why methods cannot be used, where they may be left out."""
    study, refused = check.study, list[KantorError]()
    for method in study.methods:
        if method.name in without:
            refused.append(ConfigError(without[method.name]))
            continue
        known = [term for term in method.terms if not (waits and needs_cost(term))]
        fixed = [replace(term, weight=None) if isinstance(term.weight, Balanced) else term for term in known]
        try:
            check.one(replace(method, terms=tuple(fixed)))
        except NonFiniteError:
            pass  # an untrained network may say anything
        except (ConfigError, ShapeError) as error:
            if study.settings.unfit == "refuse":
                raise
            refused.append(error)
    return refused


def _none_fits(reasons: list[str]) -> ConfigError:
    """The refusal where every method was left out: each reason, once."""
    return ConfigError("\n".join(["None of the methods can be used here.", *dict.fromkeys(reasons)]))
