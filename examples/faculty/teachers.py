"""The teachers and the tasks: which classes, which images, and the training of the teachers."""

import json
from pathlib import Path

import numpy as np
from rich.console import Console

from kantor.core.errors import DataError
from kantor.data import DataSet, open_data
from kantor.study import Study, run_study

TEACHERS = {
    "pets-birds": ["cat", "dog", "bird", "frog"],
    "hoofed": ["deer", "horse", "bird", "frog"],
    "road-air": ["automobile", "truck", "airplane"],
    "sea-road": ["airplane", "automobile", "ship", "truck"],
    "wild": ["lion", "bee", "teddy", "brass", "organ"],
    "cars": ["convertible", "limousine", "scoreboard", "umbrella", "basketball"],
    "still": ["barn", "candle", "dam", "fountain", "lemon", "pizza", "plate"],
    "mixed": ["cat", "truck", "ship", "lion", "lemon"],
    "animals": ["bird", "cat", "deer", "dog", "frog", "horse"],
    "traffic": ["airplane", "ship", "truck", "convertible", "limousine"],
    "kitchen": ["candle", "lemon", "pizza", "plate", "organ"],
    "outdoors": ["barn", "dam", "fountain", "umbrella", "bird"],
}
TASKS = {
    "quadrupeds": ["cat", "dog", "deer", "horse"],
    "vehicles": ["airplane", "automobile", "ship", "truck"],
    "wild-and-road": ["lion", "bee", "convertible", "limousine"],
    "sky-and-water": ["bird", "frog", "airplane", "ship"],
    "table": ["lemon", "pizza", "plate", "candle"],
}
LABELS = 20
LABELLED, VALIDATION, JUDGED = slice(0, LABELS), slice(20, 100), slice(100, 200)
"""Of each class's training images, which no teacher sees: to learn from (with images that come without labels so many
of all of them keep theirs), to choose by, and beside the test images."""
TEACHING = 200
"""From here on teachers learn, after those that students see without labels."""
CIFAR_IMAGES = 14000
"""Of CIFAR-10's training images, stratified, so that a teacher is trained in a minute."""
TEST_IMAGES = 300
"""Of each class's test images; Tiny-ImageNet has 50."""


def taking_part(*, wide: bool) -> tuple[list[str], list[str]]:
    """Teachers and tasks of a study: the first eight and three, or all."""
    return (list(TEACHERS), list(TASKS)) if wide else (list(TEACHERS)[:8], list(TASKS)[:3])


def open_sources(data: Path) -> list[DataSet]:
    """The two data sets, at CIFAR-10's size."""
    return [
        open_data(data / "cifar10", train_limit=CIFAR_IMAGES, validation=0),
        open_data(data / "tiny_imagenet_20.zip", image_size=32, validation=0),
    ]


def teacher_data(folder: Path, name: str, sources: list[DataSet], unlabelled: int) -> Path:
    """A teacher's classes as an npz."""
    parts = {"train": [("train", slice(TEACHING + unlabelled, None))], "test": [("test", slice(0, TEST_IMAGES))]}
    return _subset(folder / f"teacher-{name}.npz", sources, TEACHERS[name], parts)


def task_data(folder: Path, task: str, sources: list[DataSet], unlabelled: int) -> Path:
    """A task's classes as an npz; beside it, as TASK-choosing.npz, the same with the validation images to be judged by.

    So a trial is judged once, after its last epoch, and sees no test image. With images to be seen without labels the
    training part holds these too, so many of each class, and a student hides all labels but ``LABELS`` of a class.
    """
    shown = {"train": [("train", LABELLED)]}
    if unlabelled:
        shown["train"].append(("train", slice(TEACHING, TEACHING + unlabelled)))
    _subset(folder / f"{task}-choosing.npz", sources, TASKS[task], shown | {"test": [("train", VALIDATION)]})
    judged = {"test": [("train", JUDGED), ("test", slice(0, TEST_IMAGES))]}
    return _subset(folder / f"{task}.npz", sources, TASKS[task], shown | judged)


def labelled_data(data: Path) -> Path:
    """The same without the images whose labels are hidden: what a ranking may see."""
    path = data.with_name(f"{data.stem}-labelled.npz")
    train = open_data(data, labels_per_class=LABELS, validation=0).train
    with np.load(data) as held:
        kept = {key: held[key][train.ids] if key.endswith("_train") else held[key] for key in held.files}
    np.savez(path, **kept)
    return path


def _subset(path: Path, sources: list[DataSet], classes: list[str], parts: dict[str, list[tuple[str, slice]]]) -> Path:
    """Each part from these rows of each class, in the order of their ids.

    A file that is there is used only where it was made from the same rows: another cut could hold test images where
    validation images are meant.

    Raises:
        DataError: it was made otherwise.
    """
    cut = json.dumps({"classes": classes, "parts": parts}, default=str, sort_keys=True)
    note = path.with_suffix(".json")
    if path.exists():
        if not note.exists() or note.read_text() != cut:
            raise DataError(f"{path} was cut otherwise than this study does. Delete it, or give another --out.")
        return path
    arrays: dict[str, list[np.ndarray]] = {f"{a}_{part}": [] for a in "xy" for part in parts}
    for label in classes:
        source = next(data for data in sources if label in data.classes)
        for name, taken in parts.items():
            for origin, rows in taken:
                part = source.part(origin)
                at = np.flatnonzero(part.targets == source.classes.index(label))[rows]
                images = (255 * part.read(at)["student"]).round().byte().numpy()
                arrays[f"x_{name}"].append(images)
                arrays[f"y_{name}"].append(np.full(len(at), label))
    path.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(cut)
    np.savez(path, **{key: np.concatenate(several) for key, several in arrays.items()})
    return path


def train_teachers(
    folder: Path, sources: list[DataSet], names: list[str], epochs: int, unlabelled: int
) -> list[dict[str, str]]:
    """Train what is not trained; the entries of ``teachers.yaml``, which is written."""
    entries = []
    for name in names:
        data = teacher_data(folder / "data", name, sources, unlabelled)
        study = Study(
            data=str(data),
            student="resnet8",
            methods="none",
            seeds=1,
            epochs=epochs,
            batch_size=64,
            validation=0.0,
            augment="crop+mirror",
            precision="bf16",
            record_plans="every=0",
            jobs=1,
            threads=1,
            out=str(folder / "teachers" / name),
        )
        run_study(study, Console(quiet=True))
        run = folder / "teachers" / name
        accuracy = json.loads((run / "summary.json").read_text())["methods"]["none"]["mean"]
        print(
            f"Teacher {name} ({', '.join(TEACHERS[name])}): {100 * accuracy:.1f} % of its own test images", flush=True
        )
        entries.append({"name": name, "model": str((run / "none" / "seed-0").resolve()), "data": str(data.resolve())})
    (folder / "teachers.yaml").write_text(json.dumps(entries))
    return entries
