"""The commands: parse, call, print."""

import contextlib
import dataclasses
import errno
import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonargparse
from rich.table import Table

from kantor.arguments import Parser
from kantor.command_options import OPTIONS
from kantor.core.errors import KantorError
from kantor.core.names import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``kantor COMMAND ...``; its exit status is 0 done, 2 bad input, 143 stopped and kept, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without some characters gets the others
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Only the options of the command that is called are made; where none is, its name is what is wrong, or asked for.
    parser, commands = _parser(next(iter(given), ""))
    parsed = None
    try:
        parsed = parser.parse_args(given)
        _trust(parsed[parsed.command])
        return commands[parsed.command](parsed[parsed.command]) or 0
    except SystemExit as error:
        if parsed is None:  # help, or an option that is none
            raise
        said = f"Code that was called, as a network's own, ended the work by sys.exit({error.code!r})."
        print(printable(f"kantor: {said} Take that call out; what is finished is kept."), file=sys.stderr)
        return 2
    except KantorError as error:
        from kantor.training import Interrupted

        print(printable(f"kantor: {error}"), file=sys.stderr)
        return 143 if isinstance(error, Interrupted) else 2
    except KeyboardInterrupt:
        print("kantor: Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(printable(f"kantor: {str(error.filename)[:60]}... is longer than a file's name can be."), file=sys.stderr)
        return 2


def distill(options: jsonargparse.Namespace) -> None:
    """Compare a student with transfer from a teacher to the student alone, over seeds."""
    from kantor.study import Study, run_sweep

    for file in options.config or []:
        _refuse_code_of_run(Path(str(file)), options)
    _one_page(run_sweep(Study(**_fields(options, Study)), report=_page))


def _refuse_code_of_run(file: Path, options: jsonargparse.Namespace) -> None:
    """Settings by ``--config`` are the user's own words, but not those of a run that somebody else may have made."""
    from kantor.core import trust
    from kantor.study import Study

    beside = ("environment.json", "plan.json", "step0.json", "summary.json")
    if file.name == "config.yaml" and any((file.parent / name).exists() for name in beside):
        asked = Study(**_fields(options, Study)).codes()
        trust.check(*(code for code in Study.of_run(file.parent).codes() if code in asked))


def finetune(options: jsonargparse.Namespace) -> None:
    """Adapt a pretrained model to a new task, held to its representation in several ways, over seeds."""
    distill(options)


def demo(options: jsonargparse.Namespace) -> None:
    """Compare four ways to train a small student on handwritten digits: about a minute, and nothing is fetched."""
    from kantor.core.reading import read_yaml
    from kantor.study import Study, run_sweep

    settings = read_yaml(Path(__file__).with_name("demo.yaml"), dict[str, Any], "Install kantor again.")
    asked = {} if options.seeds is None else {"seeds": options.seeds}
    _one_page(run_sweep(Study(**settings | asked, out=options.out), report=_page))
    run = options.out
    student = f"{run}/kd+neuron_transport/seed-0"
    _say(f"Next: kantor evaluate {student}; kantor export {student} --format torch.export; kantor analyse {run}")


def rank(options: jsonargparse.Namespace) -> None:
    """Rank teachers for labelled data, also those trained for other classes."""
    from kantor.core.collectives import rank as process
    from kantor.faculty import Rank, rank_teachers
    from kantor.faculty.show import tables
    from kantor.report import write
    from kantor.study.run import terminal
    from kantor.training.processes import joined_processes

    config = Rank(**_fields(options, Rank))
    console = terminal()
    with joined_processes(config.device == "cpu"):
        main_process = process() == 0

        def say(text: str) -> None:
            if main_process:
                console.print(text, highlight=False, soft_wrap=True)

        ranking = rank_teachers(config, say)
        if main_process:
            console.print(*tables(ranking), sep="\n")
            say(ranking.recommendation)
            file, page = config.folder() / "ranking.json", write(config.folder())
            say(f"Wrote {file} and {page}. Next: kantor distill --teacher best:{file}")


def analyse(options: jsonargparse.Namespace) -> None:
    """Measure what moved in a run: plans over epochs, and final students beside their teachers."""
    from kantor.core.terminal import terminal
    from kantor.report import write
    from kantor.results.movement import table
    from kantor.study.afterwards.analyse import analyse_run

    def one(run: Path) -> None:
        terminal().print(table(analyse_run(run, top=options.top, say=_say)))
        page = write(run)
        _say(f"Wrote {run / 'analysis.json'}, {run / 'analysis.html'} and {page}")

    _in_turn(options.run, one)


def compare(options: jsonargparse.Namespace) -> None:
    """Compare any two models, layer by layer: transport distance, CKA, matched neurons, predictions."""
    from kantor.analysis import Compare, compare_models
    from kantor.analysis.show import sentence, tables, untrained, vocabulary
    from kantor.core.terminal import terminal
    from kantor.report import write
    from kantor.study.afterwards.evaluate import check_views

    config = Compare(**_fields(options, Compare))
    _wrote_task(config.task)
    check_views((config.model_a, config.model_b), config.views)
    content = compare_models(config)
    terminal().print(*tables(content), sep="\n")
    for said in filter(None, (untrained(content), vocabulary(content))):
        _say(said)
    _say(f"{sentence(content)}\nWrote {config.folder() / 'compare.json'} and {write(config.folder())}")


def resume(options: jsonargparse.Namespace) -> None:
    """Finish whatever is unfinished in a run's folder."""
    from kantor.study import resume_sweep
    from kantor.study.resume.folder import where_started
    from kantor.study.sweep import runs_in

    with where_started(runs_in(Path(options.run))[0], options.run) as (_, folder):
        _one_page(resume_sweep(Path(folder), report=_page))


def evaluate(options: jsonargparse.Namespace) -> None:
    """What a trained student, or any model with its weights, reaches on a part of the data."""
    from kantor.study.afterwards.evaluate import Reading, evaluate_model, evaluate_run
    from kantor.study.resume.folder import where_started

    if (options.run is None) == (options.model is None):
        raise KantorError("Give either RUN/METHOD/seed-K or --model NAME:FILE.")
    _wrote_task(options.task)
    reading = Reading(**{name: options[name] for name in _READING})
    run, model = options.run, options.model
    if run is not None and ":" in run and not Path(run).exists():
        run, model = None, run  # NAME:FILE in the place of a run
    if run is not None:
        with where_started(Path(run).parent.parent, run, options.data) as (_, folder, data):
            scores = evaluate_run(Path(folder), data, options.split, reading, _say)
    elif options.data is None:
        raise KantorError("--model needs --data: a folder, zip, parquet folder, npz, digits, or a reader.")
    else:
        scores = evaluate_model(model, options.data, options.split, reading, _say)
    _say(f"{scores.said(options.split)}, loss {scores.loss:.4f}")


_READING = ("image_size", "view", "label", "text", "classes", "skip_corrupt", "task")
"""Options that say how data are read, of commands that work on a model."""


def export(options: jsonargparse.Namespace) -> None:
    """Write a trained model alone: weights, a program that runs without kantor, or a folder for the Hub."""
    from kantor.study.afterwards.export.command import How, export_model

    output, shape = options.output and Path(options.output), options.input_shape and tuple(options.input_shape)
    export_model(options.run, options.format, output, shape, _say, How(options.bare, options.license, options.int8))


def probe(options: jsonargparse.Namespace) -> None:
    """Judge the features of a run's students by linear classifiers on them, layer by layer."""
    from kantor.core.terminal import terminal
    from kantor.study.afterwards.linear_probes import probe_run, table

    console = terminal()

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    def one(run: Path, data: str | None) -> None:
        console.print(table(probe_run(run, data, options.label, say, text=options.text)))
        say(f"It is kept in {run / 'probe.json'}")
        _page(run)

    _in_turn(options.run, one, options.data)


def prune(options: jsonargparse.Namespace) -> None:
    """Make a smaller network of a teacher: keep the units that matter, or put those together that say the same."""
    from kantor.core.terminal import terminal
    from kantor.study.afterwards.evaluate import Reading
    from kantor.study.afterwards.prune import Prune, prune_model, table

    _wrote_task(options.task)
    reading = Reading(**{name: options[name] for name in _READING})
    how = {name: options[name] for name in ("teacher", "student", "keep", "samples", "steps", "seed")}
    asked = Prune(**how, by=[way.strip() for way in options.by.split(",")], out=Path(options.out))
    found = prune_model(asked, options.data, reading, _say)
    terminal().print(table(found))
    one = found[0]  # not the best on the test part, which chooses nothing
    given = {"data": options.data, "teacher": options.teacher, "student": one.spec, "start": f"{one.spec}:{one.file}"}
    given |= {name: options[name] for name in ("image_size", "label", "text", "classes", "trust") if options[name]}
    given |= {"task": options.task} if options.task != "labels" else {}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    words += ["--skip-corrupt"] if options.skip_corrupt else []
    _say(f"Next: kantor distill {shlex.join(words)}")


def report(options: jsonargparse.Namespace) -> None:
    """Write the page of a run, a ranking or a comparison from its files, or one page of several runs side by side."""
    from kantor.report import write
    from kantor.study.sweep import runs_in

    runs = [run for folder in options.runs for run in runs_in(Path(folder))]
    _say(f"Wrote {write(runs, options.output and Path(options.output))}")


def watch(options: jsonargparse.Namespace) -> None:
    """Follow a run from its files while it trains, here or elsewhere."""
    from kantor.core.terminal import terminal
    from kantor.report import watch as watch_run
    from kantor.study.sweep import runs_in

    console = terminal()
    with contextlib.suppress(KeyboardInterrupt):
        for run in runs_in(Path(options.run)):  # of a sweep one after the other, as they are trained
            if run != Path(options.run):
                console.print(f"\n{run}", highlight=False, soft_wrap=True)
            watch_run(run, console, options.every, options.once)


def methods(options: jsonargparse.Namespace) -> None:
    """List the transfer losses: what each needs, its paper and its default weight."""
    from kantor import catalogue
    from kantor.core.terminal import terminal

    table = Table(header_style="bold")
    for heading in ("name", "reads", "needs", "default weight", "source", *(["settings"] if options.losses else [])):
        table.add_column(heading, overflow="fold")
    said = {"same_classes": "same classes", "needs_targets": "targets", "needs_ids": "ids"}
    for loss in (
        catalogue.told(options.losses) if options.losses else catalogue.losses() + catalogue.losses("PENALTIES")
    ):
        penalty = "reads" not in loss
        needs = "a start" if penalty else ", ".join(word for field, word in said.items() if loss.get(field))
        row = [loss["name"], loss.get("reads", "weights"), needs, f"{loss['default_weight']:g}", loss["paper"]]
        table.add_row(*row, *loss.get("settings", []))
    terminal().print(table)


def check(options: jsonargparse.Namespace) -> None:
    """Look at every image of a data set once, on all cores, and keep what was found: damage, sizes, colours."""
    from kantor.data.check import check_images

    check_images(options.data, _say)


def doctor(options: jsonargparse.Namespace) -> None:  # noqa: ARG001
    """Versions, device, threads, extras, and what is missing: what a report of a fault should say."""
    from kantor.doctor import checked

    for name, said in checked():
        _say(f"{name:<22} {said}")


def completion(options: jsonargparse.Namespace) -> None:
    """Print what completes commands and options in a shell: eval "$(kantor completion bash)"."""
    from kantor.completion import options_of, script

    parsers = {name: Parser() for name in OPTIONS}
    for name, parser in parsers.items():
        OPTIONS[name](parser)
    _say(script(options.shell, options_of(parsers)))


def _say(text: str) -> None:
    print(printable(text), flush=True)


def _in_turn(folder: str, command: Callable[..., None], *typed: str | None) -> None:
    """A command on the run in a folder, or on every run of a sweep, each where it was started."""
    from kantor.study.resume.folder import where_started
    from kantor.study.sweep import runs_in

    runs = runs_in(Path(folder))
    for run in runs:
        if run != Path(folder):
            _say(f"\n{run}")
        with where_started(run, *typed) as given:
            command(*given)
    _one_page(runs)


def _page(run: Path) -> None:
    from kantor.report import write

    _say(f"Its report is {write(run)}")


def _one_page(runs: list[Path]) -> None:
    from kantor.report import write

    if len(runs) > 1 and os.environ.get("RANK", "0") == "0":  # the processes that torchrun started have parted by now
        _say(f"All of them in one page: {write(runs)}")


def _parser(command: str | None = None) -> tuple[jsonargparse.ArgumentParser, dict[str, Callable[[Any], Any]]]:
    """The parser with the options of one command, or of all: those of a study import all that it may name."""
    parser = Parser(prog="kantor", description="Distil, transfer and compare neural representations.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subcommands(required=True, dest="command")
    functions = (
        demo, distill, finetune, rank, evaluate, analyse, compare, resume, export, probe, prune, report, watch, methods,
        check, doctor, completion,
    )  # fmt: skip
    for function in functions:
        own = Parser(description=function.__doc__)
        if command in (None, function.__name__):
            OPTIONS[function.__name__](own)
        commands.add_subcommand(function.__name__, own, help=_summary(function))
    return parser, {function.__name__: function for function in functions}


def _trust(options: jsonargparse.Namespace) -> None:
    """Trust what ``--trust`` names; a run that is named there alone is also the one to work on."""
    needed, given = "run" in options and "model" not in options, options.get("trust")
    if given is not None:
        if needed and options.run is None:
            options.run = given or None
        from kantor.core.trust import trust

        named = given or options.get("run") or options.get("teacher")
        if not named:
            raise KantorError("--trust names a folder or file here, as --trust RUN.")
        for path in map(Path, named.split(",")):
            run = path.parents[1] if path.name.startswith("seed-") else path  # a student is its run's
            trust(run if (run / "config.yaml").exists() else path)
    if needed and options.run is None:
        raise KantorError("Name a run's folder.")


def _wrote_task(name: str) -> None:
    """A task of one's own that is named on the command line is code that the user wrote there."""
    from kantor.core import trust

    trust.wrote([name] if ":" in name else [])


def _fields(options: jsonargparse.Namespace, kind: type) -> dict[str, Any]:
    content = options.as_dict()
    return {field.name: content[field.name] for field in dataclasses.fields(kind)}


def _summary(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").rstrip(".")


def _version() -> str:
    from importlib.metadata import version

    return f"kantor {version('kantor')}"


if __name__ == "__main__":
    sys.exit(main())
