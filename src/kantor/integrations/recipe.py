"""An objective from the few words that a trainer of somebody else's is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor, nn

from kantor.capture import path_root
from kantor.core import trust
from kantor.core.errors import ConfigError
from kantor.losses.penalty import WeightPenalty
from kantor.objective import Objective, Teacher, Term
from kantor.study.settings.methods import codes_of, parse_methods
from kantor.tasks import Classification, NextToken, Regression, SeveralLabels, Task, TokenClassification

TaskChoice = Task | Callable[[Tensor, Tensor], Tensor] | Literal["auto"] | None
"""What the student learns from labels; ``"auto"`` asks the student (:func:`task_of`), None is transfer alone."""

Teachers = nn.Module | Mapping[str, nn.Module | Teacher] | None
"""A network; or by name, networks or their kept outputs; None where the method needs none."""


def objective_of(
    student: nn.Module,
    teachers: Teachers,
    method: str | Sequence[Term],
    *,
    task: TaskChoice = "auto",
    **settings: Any,
) -> Objective:
    """The objective that trains ``student`` by ``method``.

    Args:
        student: what is trained.
        teachers: one network, which is then called ``teacher``; or each by its name, a network or its kept outputs
            (:class:`~kantor.objective.CachedTeacher`); None for a method without one. A method that names no teacher
            learns from all of them, in equal shares.
        method: as the command line has it, ``"kd+neuron_transport@stages=3"``; or terms.
        task: what is learned from labels.
        settings: what else :class:`~kantor.Objective` takes: ``task_weight``, ``samples``, ``seed``, ``source``,
            ``freeze``, ``masks``. Without a ``source`` penalties hold the student to the weights that it has now.

    Raises:
        ConfigError: the method is none, a teacher is no network, or the objective refuses what it is given.
    """
    named = _by_name(teachers)
    task = task_of(student) if task == "auto" else task
    terms: Sequence[Term] = []
    if isinstance(method, str):
        weight = settings.pop("task_weight", 1.0 if task is not None else 0.0)
        terms, settings["task_weight"] = _parsed(method, named, weight)
    else:
        terms = method
    if any(isinstance(term.loss, WeightPenalty) for term in terms) and not settings.get("source"):
        settings["source"] = {name: p.detach().clone() for name, p in path_root(student).named_parameters()}
    return Objective(student, named, terms, task=task, **settings)


def fresh_method(method: str | Sequence[Term]) -> str | list[Term]:
    """The same with losses that have seen nothing, for another student.

    Raises:
        ConfigError: a term's loss was given as an object.
    """
    return method if isinstance(method, str) else [term.fresh() for term in method]


def without_adapter(network: nn.Module) -> Any:
    """The network inside an adapter of PEFT's."""
    of_adapter: Any = getattr(network, "get_base_model", None)
    return network if of_adapter is None else of_adapter()


def task_of(student: nn.Module) -> Task:
    """What a student learns, as far as it says so: transformers' networks do, by their kind and configuration.

    All others classify.
    """
    student = without_adapter(student)
    config = getattr(student, "config", None)
    problem = getattr(config, "problem_type", None)
    kind = str(getattr(student, "loss_type", None) or "")
    decodes = bool(getattr(config, "is_encoder_decoder", False))
    generates = kind == "ForConditionalGeneration"
    if kind == "ForCausalLM" or type(student).__name__ in _CAUSAL or (generates and not decodes):
        return NextToken()
    if kind in ("ForTokenClassification", "ForMaskedLM") or generates:  # a decoder's labels lie at what it says
        return TokenClassification()
    if problem == "multi_label_classification":
        return SeveralLabels()
    if problem == "regression" or (problem is None and getattr(config, "num_labels", None) == 1):
        return Regression()
    return Classification()


_CAUSAL = ("GPT2LMHeadModel", "OpenAIGPTLMHeadModel", "CTRLLMHeadModel", "BertLMHeadModel", "ReformerModelWithLMHead")
"""Language models of transformers that are older than its names for kinds."""


def _by_name(teachers: Any) -> dict[str, Any]:
    if teachers is None:
        return {}
    if isinstance(teachers, Mapping):
        return dict(teachers)
    return {"teacher": teachers}


def _parsed(method: str, teachers: Mapping[str, Any], task_weight: float) -> tuple[list[Term], float]:
    trust.wrote(codes_of(method))
    methods = parse_methods(method, task_weight, "auto")
    if len(methods) != 1:
        raise ConfigError(f"A trainer trains one student, by one method; {method!r} is {len(methods)}. Join by +.")
    if len(teachers) < 2:
        return list(methods[0].terms), methods[0].task
    shared = methods[0].over(dict.fromkeys(teachers, 1 / len(teachers)))
    # Of several teachers a term without one is as many, and each needs a loss of its own.
    return [replace(term, loss=term.fresh().loss) for term in shared.terms], shared.task
