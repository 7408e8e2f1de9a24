"""The settings of a ranking."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kantor.core.errors import ConfigError
from kantor.core.files import refuse_shared
from kantor.core.shape import check_settings
from kantor.data.own import short_name


@dataclass(kw_only=True)
class Rank:
    """Which teacher for this data.

    Args:
        data: digits, a folder or zip of class folders, a folder of parquet files, a table of texts, an npz of named
            arrays, or a reader of your own, package.module:open_it@SETTING=VALUE.
        teachers: teachers.yaml, or names separated by commas: NAME:FILE, a safetensors file that kantor wrote,
            RUN/METHOD/seed-K. In YAML each has name, model and weights, and may have classes, preprocess, data and view
            (what it sees, in the place of the setting below).
        scores: scores separated by commas, the deciding one first; all that can be had if left out. One of your own is
            package.module:score.
        label_cost: cost between classes: glove:FILE (word vectors of the names), sentences:MODEL, matrix:FILE,
            centres:NAME:FILE (class centres in a model's features), or learned (from training labels).
        student: a student, NAME:FILE or RUN/METHOD/seed-K, whose predictions the transport score goes to, in the
            place of the labels.
        teacher_classes: class names of a teacher whose weights do not carry them: a file with one a line, or A,B,C; for
            several teachers a mapping by name (or ``classes`` in teachers.yaml).
        part: the labelled samples that teachers are judged on.
        train_limit: training samples to use, stratified by class; none for all.
        image_size: side in pixels that images are resized to.
        view: what teachers see, where there are several inputs or it goes through a transform: an array of an npz, a
            column of parquet, or a transform of the image. With views in teachers.yaml it is for the others and for
            the student.
        label: name of the label column or array, where it is not the usual one.
        text: name of a table's column of texts, where it is not the usual one. Each teacher sees them by its own
            tokenizer.
        task: what the labels are: labels (a class a sample), regression, several_labels, or a task of your own as
            package.module:Task. Teachers are judged for numbers by logme alone; the other scores need classes.
        skip_corrupt: leave out images that cannot be decoded, and say which.
        bootstrap: resamples of the samples behind each interval; 0 for none.
        batch_size: samples in each forward pass.
        cache_limit: largest cache of one teacher, in GB.
        device: auto takes a GPU if there is one.
        out: folder for ranking.json and the page; runs/rank-DATA-DIGEST if left out.
    """

    data: str
    teachers: str
    scores: str | None = None
    label_cost: str = "learned"
    student: str | None = None
    teacher_classes: str | list[str] | dict[str, str | list[str] | None] | None = None
    part: Literal["train", "validation", "test"] = "train"
    train_limit: int | None = None
    image_size: int | None = None
    view: str | None = None
    label: str | None = None
    text: str | None = None
    task: str = "labels"
    skip_corrupt: bool = False
    bootstrap: int = 200
    batch_size: int = 256
    cache_limit: float = 4.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: str | None = None

    def check(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigError: names the setting and what it takes.
        """
        check_settings(self)
        if self.bootstrap < 0 or self.bootstrap == 1:
            raise ConfigError(f"bootstrap is 0 (no intervals) or at least 2, not {self.bootstrap}.")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is at least 1, not {self.batch_size}.")
        refuse_shared(self.folder(), "ranking.json")

    def folder(self) -> Path:
        """Where the ranking is written."""
        if self.out is not None:
            return Path(self.out)
        as_ever = [("task", "labels"), ("text", None)]
        telling = {k: v for k, v in dataclasses.asdict(self).items() if k != "out" and (k, v) not in as_ever}
        content = json.dumps(telling, sort_keys=True)
        return Path("runs") / f"rank-{short_name(self.data)}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
