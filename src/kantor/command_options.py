"""The options of each command. What they are typed by is imported when a command's options are made, and not before."""

from collections.abc import Callable
from typing import Literal

import jsonargparse


def _demo(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=str, default="runs/demo", help="the run's folder")
    parser.add_argument("--seeds", type=int | None, help="how many, for a shorter look; ten if left out")


def _study(parser: jsonargparse.ArgumentParser) -> None:
    from kantor.study.settings.study import Study

    _settings(parser, Study)


def _finetune(parser: jsonargparse.ArgumentParser) -> None:
    from kantor.study.settings.study import FineTune

    _settings(parser, FineTune)


def _rank(parser: jsonargparse.ArgumentParser) -> None:
    from kantor.faculty.config import Rank

    _settings(parser, Rank)


def _settings(parser: jsonargparse.ArgumentParser, settings: type) -> None:
    parser.add_argument("--config", action="config", help="settings in YAML; those on the command line win")
    parser.add_class_arguments(settings, fail_untyped=True)
    _takes_trust(parser)


def _evaluate(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", type=str, help="RUN/METHOD/seed-K")
    parser.add_argument("--model", type=str | None, help="in its place bare weights, as NAME:FILE")
    parser.add_argument("--data", type=str | None, help="the data; a run's own if left out")
    parser.add_argument("--split", type=Literal["test", "validation", "train"], default="test", help="which part")
    _reading(parser)
    _takes_trust(parser)


def _reading(parser: jsonargparse.ArgumentParser) -> None:
    """How data are read for a model."""
    parser.add_argument("--image_size", type=int | None, help="side in pixels that images of --data are resized to")
    parser.add_argument("--view", type=str | None, help="what the model sees of --data: an array, column or transform")
    parser.add_argument("--label", type=str | None, help="label column or array of --data, if not the usual one")
    parser.add_argument("--text", type=str | None, help="column of texts of --data, if not the usual one")
    parser.add_argument("--classes", type=str | None, help="classes of --data to keep, as A,B,C")
    parser.add_argument("--skip_corrupt", action="store_true", help="leave out images that cannot be decoded")
    parser.add_argument(
        "--task", type=str, default="labels", help="what the labels of --data are, as in distill: regression, for one"
    )


def _analyse(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", type=str, help="the run's folder, or a sweep's")
    _takes_trust(parser)
    parser.add_argument("--top", type=int, default=5, help="samples kept of each neuron, those that excite it most")


def _compare(parser: jsonargparse.ArgumentParser) -> None:
    from kantor.analysis.compare import Compare

    for name in ("model_a", "model_b"):
        parser.add_argument(
            name, type=str, help="NAME:FILE, a safetensors file that kantor wrote, or RUN/METHOD/seed-K"
        )
    parser.add_class_arguments(Compare, fail_untyped=True, skip={"model_a", "model_b"})
    _takes_trust(parser)


def _resume(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", type=str, help="the run's folder, or a sweep's")
    _takes_trust(parser)


def _export(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", type=str, help="RUN/METHOD/seed-K, or a model with its weights, as NAME:FILE")
    _takes_trust(parser)
    parser.add_argument(
        "--format",
        type=Literal["safetensors", "torch.export", "onnx", "hub"],
        default="safetensors",
        help="weights, a program of torch or of ONNX, or a folder with a model card that transformers or timm load",
    )
    parser.add_argument("--output", type=str | None, help="the file or folder; beside the run's student if left out")
    parser.add_argument(
        "--bare", action="store_true", help="of a program: the network alone, without resizing and normalising"
    )
    parser.add_argument(
        "--int8", action="store_true", help="of an ONNX program: in integers of 8 bits, with what it reaches beside it"
    )
    parser.add_argument(
        "--license", type=str | None, help="of the weights, for the model card: an identifier such as apache-2.0"
    )
    parser.add_argument(
        "--input_shape", type=list[int] | None, help="of one sample, as 3,224,224, where the model's file does not say"
    )


def _probe(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", type=str, help="the run's folder, or a sweep's")
    _takes_trust(parser)
    parser.add_argument("--data", type=str | None, help="labelled data; the run's own if left out")
    parser.add_argument("--label", type=str | None, help="its label column or array, where it is not the usual one")
    parser.add_argument("--text", type=str | None, help="its column of texts, where it is not the usual one")


def _prune(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("teacher", type=str, help="the trained network, as NAME:FILE, or RUN/METHOD/seed-K")
    parser.add_argument(
        "--keep",
        type=float | None,
        help="the smaller width, of kantor's own networks that have one (cnn, resnet8, ...)",
    )
    parser.add_argument("--student", type=str | None, help="in its place, the name of the smaller network")
    parser.add_argument("--data", type=str, required=True, help="as in distill; --task none needs no label")
    parser.add_argument(
        "--by",
        type=str,
        default="transport,topk,magnitude,random",
        help="transport: units that say the same are put together, and none is left out; topk: those stay that gates "
        "learned through a soft top-k choose; magnitude: those that the largest weights read; random",
    )
    parser.add_argument("--out", type=str, default="runs/pruned", help="folder of the smaller networks")
    parser.add_argument("--samples", type=int, default=1000, help="of the training part, that are looked at")
    parser.add_argument("--steps", type=int, default=300, help="of learning which units to keep")
    parser.add_argument("--seed", type=int, default=0, help="of the order of samples, and of what is drawn")
    _reading(parser)
    _takes_trust(parser)


def _report(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", type=str, help="the folder of a run, a sweep, a ranking or a comparison, or of several runs"
    )
    parser.add_argument("--output", type=str | None, help="the page; report.html in the folder if left out")


def _watch(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("run", type=str, help="the run's folder, or a sweep's")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between looks")
    parser.add_argument("--once", action="store_true", help="look once, and end")


def _methods(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument(
        "losses",
        nargs="*",
        type=str,
        help="losses to tell of, with their settings; your own as package.module:MyLoss. All built-in ones if left out",
    )


def _check(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("data", type=str, help="a folder, zip or parquet folder of images")


def _doctor(parser: jsonargparse.ArgumentParser) -> None:
    """It has none."""


def _completion(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument("shell", type=Literal["bash", "zsh", "fish"], help="bash, zsh or fish")


def _takes_trust(parser: jsonargparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust",
        nargs="?",
        const="",
        type=str | None,
        help="a folder or file (several: A,B) whose names may be code of their own, as my.nets:make: runs that others "
        "made, a teachers.yaml. Without it only code is imported that you name on the command line, or did when you "
        "made the run. A run to work on may be named here alone",
    )


OPTIONS: dict[str, Callable[[jsonargparse.ArgumentParser], None]] = {
    "demo": _demo,
    "distill": _study,
    "finetune": _finetune,
    "rank": _rank,
    "evaluate": _evaluate,
    "analyse": _analyse,
    "compare": _compare,
    "resume": _resume,
    "export": _export,
    "probe": _probe,
    "prune": _prune,
    "report": _report,
    "watch": _watch,
    "methods": _methods,
    "check": _check,
    "doctor": _doctor,
    "completion": _completion,
}
"""What adds a command's options to its parser, by the command's name."""
