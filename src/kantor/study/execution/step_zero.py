"""Step 0 of a study: every check, every layer pairing and every cached output, before the first student trains."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from kantor.capture import call
from kantor.core.collectives import rank, wait_for_all
from kantor.core.cores import cores
from kantor.core.errors import ConfigError, DataError, KantorError, NonFiniteError, ShapeError
from kantor.core.files import write_json
from kantor.core.modes import as_trained
from kantor.data import Augment, Batch, DataSet
from kantor.faculty.label_cost import CostSource
from kantor.losses import LabelCost, NeuronTransport
from kantor.models import Model, has_weights
from kantor.objective import Balanced, LiveTeacher, Objective, Read, StepZero
from kantor.objective.binding import paired_stages
from kantor.objective.teachers import KEYED_BY
from kantor.results.files import timed
from kantor.study.execution.learning_notes import how_it_learns
from kantor.study.execution.parallel import threads_for
from kantor.study.execution.student import data_for, make_objective, new_student
from kantor.study.resume.fingerprints import agree_on_networks
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.methods import Method
from kantor.study.settings.starting_weights import Given, Start, check_start, start_of
from kantor.study.settings.study import Study, device_of
from kantor.study.teachers.cached_outputs import cacheable, facts_of, fill, layers_of
from kantor.study.teachers.channel_worth import Worth, measure_worth, write_worth
from kantor.study.teachers.doubts import doubt
from kantor.study.teachers.find import accuracy, find_teachers, given_classes, model_for, study_methods, teacher_specs
from kantor.study.teachers.label_costs import label_costs_for, needs_cost, write_costs
from kantor.training import Pair
from kantor.training.batches import augmentation, training_batches
from kantor.training.device import emulates_bfloat16
from kantor.training.loop import Report
from kantor.training.plan_samples import probe_part, write_probe

Say = Callable[[str], None]


WITHOUT_TASK = (
    "Task none: no labels are used. Losses on features leave the student's classifier as it began, so no accuracy is "
    "given, nothing is validated, and the last epoch is kept; `kantor probe RUN` then judges the features. The method "
    "none is the untrained student."
)


def prepare(config: Study, data: DataSet, run: Path, say: Say, report: Report) -> tuple[list[Method], dict[str, Any]]:
    """Find or train the teachers, check every method, fill the caches; leave ``plan.json``.

    Args:
        config: the study's settings.
        data: its data.
        run: its folder.
        say: told each fact, a line or several at a time.
        report: told of progress.

    Returns:
        The methods to train, and facts for the summary: the data's, and of each teacher what it saw, its test
        accuracy, and how long it trained.

    Raises:
        KantorError: anything that would fail later; see the parts.
    """
    methods = study_methods(config)
    if config.task == "labels" and data.test is None:
        raise ConfigError(f"{data.name} has no test part to judge by.")
    if config.task == "labels" and len(data.classes) < 2:
        raise DataError(f"{data.name} has one class, {data.classes[0]}: there is nothing to learn from its labels.")
    if not data.train.labelled:
        _need_no_labels(config, data, methods)
    if any(method.transfers for method in methods) and not config.teacher:
        named = next(method.name for method in methods if method.transfers)
        raise ConfigError(f"Method {named} needs a teacher: give --teacher NAME:FILE, or NAME to train one.")
    if data.unlabelled is not None and not any(method.transfers for method in methods):
        raise ConfigError("unlabelled shows samples to what is transferred, and no method transfers: leave it out.")
    if config.select == "best" and data.validation is None:
        raise ConfigError("select best needs a validation part: set validation. Without one the last epoch is kept.")
    check_start(config, [method.start for method in methods])
    specs, named = teacher_specs(config), given_classes(config)
    only = next(((spec, named.get(name)) for name, spec in specs.items()), None) if len(specs) == 1 else None
    starts = {method.name: start_of(config, method.start, only) for method in methods}
    for seed in [*config.seed_list(), *(config.tune_seeds if config.tune else [])]:
        for start in filter(None, starts.values()):
            start.of(seed)
    cached = any(method.transfers for method in methods) and cacheable(config, data)
    example = next(training_batches(data, config, 0, transfers=True).epoch(0))
    # A student that cannot be built is known here, before a teacher is trained.
    student = new_student(config, data, 0)[0]
    work = _multiply_adds(student, example)
    threads = threads_for(config, run, work, students=len(methods) * len(config.seed_list()))

    say(_data_line(data, augmentation(config, data)))
    if config.task == "none":
        say(WITHOUT_TASK)
    _check_untrained(config, data, methods, starts, example, run, report)
    with timed(run, "teachers"):
        sources = find_teachers(config, data, run.parent / "teachers", report) if config.teacher else []
        models = {s.name: model_for(s.spec, data, data.role_of(s.name), s.classes) for s in sources}
        agree_on_networks(run, config, models, student, starts)
        reached = {name: accuracy(name, model, data, run.parent / "cache", config) for name, model in models.items()}
    for source in sources:
        share = reached[source.name]
        scored = "" if share is None else f"; {100 * share:.2f} % of the test part right"
        sees = f"sees {source.sees}, " if source.sees else ""
        say(f"Teacher {source.name}: {models[source.name].spec}, {sees}trained on {source.saw}{scored}.")
        if doubted := doubt(source.name, source.spec, share, data.test):
            say(doubted)

    costs, without = label_costs_for(config, data, models, methods, run.parent / "cache", report)
    for name, why in without.items():
        say(f"\n{name} is left out: {why}")
    methods = [method for method in methods if method.name not in without]
    if costs:
        if rank() == 0:
            write_costs(run, costs)
        say(f"Label cost {config.label_cost}, on one scale:" + "".join(_nearest(models, data, costs)))

    worth: Worth = {}
    bound, reads, step0, left_out = _check_methods(
        config, data, methods, starts, models, costs, worth, example, cached, say
    )
    left_out |= without
    methods = [method for method in methods if method.name in bound]
    if not methods:
        raise ConfigError("None of the methods can be used here; the reasons are above.")
    if rank() == 0:
        write_worth(run, worth)
    pairs = _recorded(config, data, methods, models, bound, example)
    for known in pairs:
        reads[known.source].add(Read(known.teacher, pooled=True))
    plan = Prepared(
        teachers={
            source.name: {
                "spec": source.spec,
                "classes": source.classes,
                "saw": source.saw,
                "digest": models[source.name].weights_digest(),
                "facts": facts_of(models[source.name]),
                "layers": layers_of(source.name, models[source.name], reads[source.name], example),
            }
            for source in sources
        },
        bound=bound,
        pairs=pairs,
        cached=cached,
        threads=threads,
        starts=starts,
    )
    if cached:
        with timed(run, "caches"):
            fill(config, run, data, models, plan, reads, say, report)
    elif models:
        say("\nTeacher outputs are not cached: the teacher runs on every batch.")
    say(f"Each student trains on {threads} thread{'s' if threads > 1 else ''}.")
    if config.jobs * threads > cores():
        say(f"{config.jobs} jobs of {threads} threads are more than the {cores()} cores here: fewer may be faster.")
    if config.precision == "bf16" and emulates_bfloat16(device_of(config)):
        say("Precision bf16 is emulated on this processor: float32 (precision no) is faster here.")
    if rank() == 0:
        if pairs and not (run / "probe.npz").exists():
            write_probe(run / "probe.npz", probe_part(data))
        plan.write(run)
        write_json(run / "step0.json", {"data": data.facts(), "methods": step0, "left_out": left_out})
    wait_for_all()
    teachers = [asdict(source) | {"accuracy": reached[source.name]} for source in sources]
    return methods, {"data": data.facts(), "teachers": teachers}


def _check_untrained(
    config: Study,
    data: DataSet,
    methods: list[Method],
    starts: dict[str, Start | None],
    example: Batch,
    run: Path,
    report: Report,
) -> None:
    """Refuse what teachers that must be trained first cannot be used for, while no time has been spent on them.

    What depends on what a trained teacher says waits for it: weights that are found at step 0, and terms with a label
    cost that is made of its outputs. Where the teacher is kept from an earlier run this is seconds spent in vain.
    """
    specs, named = teacher_specs(config), given_classes(config)
    if all(has_weights(spec) for spec in specs.values()):
        return
    models = {name: model_for(spec, data, data.role_of(name), named.get(name)) for name, spec in specs.items()}
    costs: dict[str, LabelCost] = {}
    without: dict[str, str] = {}
    source = CostSource.parse(config.label_cost or "learned")
    if source.kind == "centres":
        model_for(source.argument, data, "teacher")
    if not source.sees_outputs:
        costs, without = label_costs_for(config, data, models, methods, run.parent / "cache", report)
    refused: list[KantorError] = []
    for method in methods:
        if method.name in without:
            refused.append(ConfigError(without[method.name]))
            continue
        waits = config.label_cost is not None and not costs  # for what a trained teacher says
        known = [term for term in method.terms if not (waits and needs_cost(term))]
        fixed = [replace(term, weight=None) if isinstance(term.weight, Balanced) else term for term in known]
        method = replace(method, terms=tuple(fixed))
        try:
            _check_method(config, data, method, starts[method.name], models, costs, example, cached=False)
        except NonFiniteError:
            pass  # an untrained network may say anything
        except (ConfigError, ShapeError) as error:
            if config.unfit == "refuse":
                raise
            refused.append(error)
    if len(refused) == len(methods):
        raise ConfigError(f"None of the methods can be used here; the last: {refused[-1]}")


def _check_method(
    config: Study,
    data: DataSet,
    method: Method,
    start: Start | None,
    models: dict[str, Model],
    costs: dict[str, LabelCost],
    example: Batch,
    cached: bool,
) -> tuple[Objective, StepZero, Given | None]:
    """One method on one batch.

    Returns:
        Its objective with the losses built; what there is to say of it; what its student starts with.
    """
    source = KEYED_BY if cached else "run on every batch"
    teachers = {name: LiveTeacher(model, source, name) for name, model in models.items()}
    student, given = new_student(config, data, config.seed_list()[0], start)
    seen = data_for(method, config, data)
    objective = make_objective(student, teachers, method, config, seen, 0, costs, given=given)
    as_trained(objective)  # some packages hand out their models in eval mode
    facts = objective.check(example if seen.train.labelled else replace(example, targets=None), quiet=True)
    return objective, facts, given


def _check_methods(
    config: Study,
    data: DataSet,
    methods: list[Method],
    starts: dict[str, Start | None],
    models: dict[str, Model],
    costs: dict[str, LabelCost],
    worth: Worth,
    example: Batch,
    cached: bool,
    say: Say,
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, set[Read]], dict[str, Any], dict[str, str]]:
    bound: dict[str, list[dict[str, Any]]] = {}
    reads: dict[str, set[Read]] = {name: {Read("logits")} for name in models}
    step0: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for method in methods:
        try:
            objective, facts, given = _check_method(
                config, data, method, starts[method.name], models, costs, example, cached
            )
        except (ConfigError, ShapeError) as error:
            if config.unfit == "refuse":
                raise
            say(f"\n{method.name} is left out: {error}")
            left_out[method.name] = str(error)
            continue
        measure_worth(objective, models, data, worth, device_of(config))
        notes = [*([str(given)] if given else []), *how_it_learns(config, objective, given)]
        say("\n".join([f"\n{method.name}", *notes, str(facts)]))
        step0[method.name] = facts.record() | {"notes": notes}
        bound[method.name] = [b.of(method.terms[b.term]).record() for b in objective.bound]
        for name in models:
            reads[name] |= set(objective.reads(name))
    return bound, reads, step0, left_out


def _need_no_labels(config: Study, data: DataSet, methods: list[Method]) -> None:
    supervised = next((method.name for method in methods if method.task > 0), None)
    if supervised is not None:
        raise ConfigError(f"Method {supervised} gives the task a weight, and {data.name} has no labels.")
    if config.tune:
        raise ConfigError(f"tune judges trials by a linear probe on labels, and {data.name} has none.")


def _nearest(models: dict[str, Model], data: DataSet, costs: dict[str, LabelCost]) -> Iterator[str]:
    """For each teacher, which of its classes is nearest to each of the student's: a look at what the cost says."""
    for name, cost in costs.items():
        theirs = models[name].class_names or [f"class {k}" for k in range(models[name].num_classes)]
        pairs = [f"{mine} <- {theirs[k]}" for mine, k in zip(data.classes, cost.cross.argmin(0).tolist(), strict=True)]
        yield f"\n  {name}: {', '.join(pairs[:10])}{', ...' if len(pairs) > 10 else ''}"


def _recorded(
    config: Study,
    data: DataSet,
    methods: list[Method],
    models: dict[str, Model],
    bound: dict[str, list[dict[str, Any]]],
    example: Batch,
) -> list[Pair]:
    """Layers whose plans are recorded for every method: those that transport terms pair, else the last stages."""
    if not models or not config.plans_every():
        return []
    named = [
        Pair(term["student"], term["teacher"].partition(":")[2], term["teacher"].partition(":")[0])
        for method in methods
        for term in bound[method.name]
        if term["loss"] == NeuronTransport.name
    ]
    if named:
        return list(dict.fromkeys(named))
    student = new_student(config, data, 0)[0]
    return [
        Pair(last.student, last.teacher, name)
        for name, model in models.items()
        for last in paired_stages(student, LiveTeacher(model, name=name), example)[-1:]
    ]


def _multiply_adds(model: Model, example: Batch) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call(model.eval(), example.first(1).inputs["student"])
    return counter.get_total_flops() / 2


def _data_line(data: DataSet, augment: Augment) -> str:
    facts = data.facts()
    parts = ", ".join(f"{part['samples']:,} {name}" for name, part in facts["parts"].items())
    shapes = {role: "x".join(map(str, shape)) for role, shape in facts["input_shapes"].items()}
    shape = (
        " / ".join(f"{role} {shape}" for role, shape in shapes.items())
        if len(set(shapes.values())) > 1
        else shapes["student"]
    )
    known = ("data", "classes", "class_names", "parts", "input_shapes")
    notes = "".join(f"\n  {key}: {value}" for key, value in facts.items() if key not in known)
    classes = f"{facts['classes']} classes" if data.train.labelled else "no labels"
    return f"Data {data.name}: {parts}; {classes}, {shape}; augmentation {augment.name}.{notes}"
