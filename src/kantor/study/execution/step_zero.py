"""Step 0 of a study: every check, every layer pairing and every cached output, before the first student trains."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from kantor.capture import call
from kantor.core.collectives import rank, wait_for_all
from kantor.core.cores import cores
from kantor.core.errors import ConfigError, DataError
from kantor.core.files import write_json
from kantor.data import Augment, Batch, DataSet
from kantor.data.label_kinds import counted
from kantor.losses import LabelCost, NeuronTransport
from kantor.models import Model
from kantor.models.spec import parse
from kantor.objective import LiveTeacher, Read
from kantor.objective.binding import paired_stages
from kantor.results.files import plan_samples_file, timed
from kantor.results.records import Teacher
from kantor.study.execution.method_checks import MethodCheck, check_untrained
from kantor.study.execution.parallel import threads_for
from kantor.study.execution.student import new_student
from kantor.study.resume.fingerprints import agree_on_files, agree_on_networks
from kantor.study.resume.prepared import Prepared
from kantor.study.settings.methods import Method
from kantor.study.settings.resolved import ResolvedStudy
from kantor.study.settings.starting_weights import Start, check_start
from kantor.study.teachers.cached_outputs import KeptOutputs, cacheable, facts_of, layers_of
from kantor.study.teachers.carried_starts import carried_starts
from kantor.study.teachers.channel_worth import write_worth
from kantor.study.teachers.doubts import doubt
from kantor.study.teachers.find import (
    Source,
    find_teachers,
    model_for,
    score_on_test,
)
from kantor.study.teachers.label_costs import label_costs_for, write_costs
from kantor.study.teachers.taking_samples import takes_samples
from kantor.study.teachers.vocabularies import vocabulary_maps_for
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY
from kantor.training import Pair
from kantor.training.batches import augmentation, training_batches
from kantor.training.device import emulates_bfloat16
from kantor.training.loop import Report
from kantor.training.plan_samples import samples_for_plans, write_samples

Say = Callable[[str], None]


WITHOUT_TASK = (
    "Task none: no labels are used. Losses on features leave the student's classifier as it began, so no accuracy is "
    "given, nothing is validated, and the last epoch is kept; `kantor probe RUN` then judges the features. The method "
    "none is the untrained student."
)


def prepare(
    study: ResolvedStudy, data: DataSet, run: Path, say: Say, report: Report
) -> tuple[list[Method], dict[str, Any]]:
    """Find or train the teachers, check every method, fill the caches; leave ``plan.json``.

    Args:
        study: what is to be done.
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
    settings = study.settings
    _check_data(study, data)
    losses = [term.loss for method in study.methods for term in method.terms]
    cached = any(method.transfers for method in study.methods) and cacheable(settings, data, losses)
    example = next(training_batches(data, settings, 0, transfers=True).epoch(0))
    _check_one_architecture(study, data)
    # A student that cannot be built is known here, before a teacher is trained.
    student = new_student(study, data, 0)[0]
    students = len(study.methods) * len(study.seeds)
    threads = threads_for(settings, run, _multiply_adds(student, example), students)
    say(_data_line(data, augmentation(settings, data)))
    if not study.judged:
        say(WITHOUT_TASK)
    maps, unmapped = vocabulary_maps_for(study, data, run, say)
    check_untrained(study, data, example, run.parent / "cache", report, maps)
    with timed(run, "teachers"):
        sources = find_teachers(study, data, run.parent / "teachers", report)
        models = {s.name: model_for(s.spec, data, data.role_of(s.name), s.classes) for s in sources}
        agree_on_networks(run, settings, models, student)
        root = run.parent / "cache"
        reached = {name: score_on_test(name, model, data, root, study) for name, model in models.items()}
    for source in sources:
        _introduce(source, models[source.name], reached[source.name], data, study.scale, say)
    with timed(run, "starts") if study.carries else nullcontext():
        starts = carried_starts(study, data, models, run / "starts", study.every_seed, say)
    agree_on_files(run, settings, starts)

    costs, without = label_costs_for(study, data, models, run.parent / "cache", report)
    without |= unmapped
    for name, why in without.items():
        say(f"\n{name} is left out: {why}")
    if costs:
        if rank() == 0:
            write_costs(run, costs)
        say(f"Label cost {settings.label_cost}, on one scale:" + "".join(_nearest(models, data, costs)))
    check = MethodCheck(study, data, models, costs, example, starts, cached, maps)
    found = check.every([method for method in study.methods if method.name not in without], say)
    pairs = _recorded(check, found.bound)
    for known in pairs:
        found.reads[known.source].add(Read(known.teacher, pooled=True))
    plan = Prepared(
        teachers={
            source.name: _kept(source, models[source.name], found.reads[source.name], example, study, data)
            for source in sources
        },
        bound=found.bound,
        pairs=pairs,
        cached=cached,
        threads=threads,
        starts=starts,
    )
    if cached:
        with timed(run, "caches"):
            KeptOutputs(run, settings, data, plan).fill(models, found.reads, say, report)
    elif models:
        say("\nTeacher outputs are not cached: the teacher runs on every batch.")
    _say_how_it_runs(study, threads, say)
    if rank() == 0:
        write_worth(run, found.worth)
        if pairs and not (samples := plan_samples_file(run)).exists():
            write_samples(samples, samples_for_plans(data))
        plan.write(run)
        left_out = found.left_out | without
        metric = study.scale.record() if study.judged else None
        record = {"data": data.facts(), "metric": metric, "methods": found.step0, "left_out": left_out}
        write_json(run / "step0.json", record)
    wait_for_all()
    by_accuracy = study.scale == ACCURACY
    teachers = [
        asdict(source) | {"accuracy": reached[source.name] if by_accuracy else None, "reached": reached[source.name]}
        for source in sources
    ]
    methods = [method for method in study.methods if method.name in found.bound]
    return methods, {"data": data.facts(), "teachers": teachers}


def _kept(
    source: Source, model: Model, reads: set[Read], example: Batch, study: ResolvedStudy, data: DataSet
) -> Teacher:
    """What processes that train know of a teacher."""
    teacher = LiveTeacher(model, name=source.name, top=study.settings.top_logits)
    longest = data.train.input_shapes[data.role_of(source.name)][0]
    return {
        "spec": source.spec,
        "classes": source.classes,
        "saw": source.saw,
        "digest": model.weights_digest(),
        "facts": facts_of(model),
        "layers": layers_of(teacher, reads, example, longest),
    }


def _check_data(study: ResolvedStudy, data: DataSet) -> None:
    """Refuse data that cannot serve what is asked."""
    settings, methods = study.settings, study.methods
    if study.judged and data.test is None:
        raise ConfigError(f"{data.name} has no test part to judge by.")
    if study.judged and data.kind in ("maps", "next") and len(data.classes) < 2:  # of a class a sample, opening says so
        raise DataError(f"{data.name} has one class, {data.classes[0]}: there is nothing to learn from its labels.")
    if not data.train.labelled:
        _need_no_labels(study, data)
    if any(method.transfers for method in methods) and not study.teachers:
        named = next(method.name for method in methods if method.transfers)
        raise ConfigError(f"Method {named} needs a teacher: give --teacher NAME:FILE, or NAME to train one.")
    if data.unlabelled is not None and not any(method.transfers for method in methods):
        raise ConfigError("unlabelled shows samples to what is transferred, and no method transfers: leave it out.")
    if settings.select == "best" and data.validation is None:
        raise ConfigError("select best needs a validation part: set validation. Without one the last epoch is kept.")
    check_start(settings, [method.start for method in methods])
    given = [start for start in study.starts.values() if isinstance(start, Start)]
    for seed in study.every_seed:
        for start in given:
            start.of(seed)


def _check_one_architecture(study: ResolvedStudy, data: DataSet) -> None:
    """Refuse a factory of the user's that makes other networks for other seeds: its layers are bound once, for all."""
    spec = study.settings.student
    if parse(spec).family != "python":
        return
    first, *others = [*study.seeds, *(study.settings.tune_seeds if study.settings.tune else [])]
    known = _shapes(new_student(study, data, first)[0])
    for seed in others:
        found = _shapes(new_student(study, data, seed)[0])
        for name in [*known, *found]:
            if known.get(name) != found.get(name):
                one, other = (shapes.get(name, "none") for shapes in (known, found))
                raise ConfigError(
                    f"{spec} makes another network for seed {seed} than for seed {first}: {name} is {other}, and was "
                    f"{one}. A study compares students of one architecture. Let its names and widths follow from its "
                    "settings, and only its weights be drawn."
                )


def _shapes(model: Model) -> dict[str, list[int]]:
    return {name: list(weights.shape) for name, weights in model.network.state_dict().items()}


def _introduce(source: Source, model: Model, reached: float | None, data: DataSet, scale: Scale, say: Say) -> None:
    scored = "" if reached is None else f"; {scale.said_on(reached, 'the test part')}"
    sees = f"sees {source.sees}, " if source.sees else ""
    say(f"Teacher {source.name}: {model.spec}, {sees}trained on {source.saw}{scored}.")
    share, here = reached if scale == ACCURACY else None, source.seconds is not None
    if doubted := doubt(source.name, source.spec, share, data.test, trained_here=here):
        say(doubted)


def _say_how_it_runs(study: ResolvedStudy, threads: int, say: Say) -> None:
    jobs = study.settings.jobs
    say(f"Each student trains on {threads} thread{'s' if threads > 1 else ''}.")
    if jobs * threads > cores():
        say(f"{jobs} jobs of {threads} threads are more than the {cores()} cores here: fewer may be faster.")
    if study.settings.precision == "bf16" and emulates_bfloat16(study.device):
        say("Precision bf16 is emulated on this processor: float32 (precision no) is faster here.")


def _need_no_labels(study: ResolvedStudy, data: DataSet) -> None:
    supervised = next((method.name for method in study.methods if method.task > 0), None)
    if supervised is not None:
        raise ConfigError(f"Method {supervised} gives the task a weight, and {data.name} has no labels.")
    if study.settings.tune:
        raise ConfigError(f"tune judges trials by a linear probe on labels, and {data.name} has none.")


def _nearest(models: dict[str, Model], data: DataSet, costs: dict[str, LabelCost]) -> Iterator[str]:
    """For each teacher, which of its classes is nearest to each of the student's: a look at what the cost says."""
    for name, cost in costs.items():
        theirs = models[name].class_names or [f"class {k}" for k in range(models[name].num_classes)]
        pairs = [f"{mine} <- {theirs[k]}" for mine, k in zip(data.classes, cost.cross.argmin(0).tolist(), strict=True)]
        yield f"\n  {name}: {', '.join(pairs[:10])}{', ...' if len(pairs) > 10 else ''}"


def _recorded(check: MethodCheck, bound: Mapping[str, list[dict[str, Any]]]) -> list[Pair]:
    """Layers whose plans are recorded for every method: those that transport terms pair, else the last stages."""
    if not check.models or not check.study.settings.plans_every():
        return []
    named = [
        Pair(term["student"], term["teacher"].partition(":")[2], term["teacher"].partition(":")[0])
        for terms in bound.values()
        for term in terms
        if term["loss"] == NeuronTransport.name
    ]
    if named:
        return list(dict.fromkeys(named))
    student = new_student(check.study, check.data, 0)[0]
    return [
        Pair(last.student, last.teacher, name)
        for name, model in check.models.items()
        for last in paired_stages(student, LiveTeacher(model, name=name), check.example)[-1:]
    ]


def _multiply_adds(model: Model, example: Batch) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with takes_samples(model), FlopCounterMode(display=False) as counter, torch.no_grad():
            call(model.eval(), example.first(1).inputs["student"])
    except ConfigError as error:
        if "argument #1 'indices'" not in str(error):
            raise
        raise ConfigError(
            f"{model.name} looks its inputs up by their numbers, as tokens are, and the data's are measurements. In an "
            "npz an array of tokens is called input_ids, with an attention_mask beside it where some are padding."
        ) from error
    return counter.get_total_flops() / 2


def _shape_in_words(shape: list[int]) -> str:
    return f"up to {shape[0]} tokens of {shape[1]:,}" if len(shape) == 2 else "x".join(map(str, shape))


def _data_line(data: DataSet, augment: Augment) -> str:
    facts = data.facts()
    parts = ", ".join(f"{part['samples']:,} {name}" for name, part in facts["parts"].items())
    shapes = {role: _shape_in_words(shape) for role, shape in facts["input_shapes"].items()}
    shape = (
        " / ".join(f"{role} {shape}" for role, shape in shapes.items())
        if len(set(shapes.values())) > 1
        else shapes["student"]
    )
    known = ("data", "kind", "classes", "class_names", "parts", "input_shapes")
    notes = "".join(f"\n  {key}: {value}" for key, value in facts.items() if key not in known)
    classes = counted(facts["classes"], data.kind) if data.train.labelled else "no labels"
    return f"Data {data.name}: {parts}; {classes}, {shape}; augmentation {augment.name}.{notes}"
