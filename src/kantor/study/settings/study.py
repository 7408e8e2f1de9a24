"""The settings of a study: data, teacher, student, methods and seeds."""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kantor.core import trust
from kantor.core.errors import ConfigError, suggest
from kantor.core.imported import is_path
from kantor.core.objects import is_object
from kantor.core.reading import check_shape, dump_yaml
from kantor.data.own import codes_of as data_codes
from kantor.data.own import short_name
from kantor.data.views import written_views
from kantor.faculty.label_cost import CostSource
from kantor.models.spec import codes_of as models_codes
from kantor.objective.weights import LIMIT, LIMIT_ADAMW
from kantor.results.format import read_settings
from kantor.study.settings.methods import codes_of as methods_codes
from kantor.tasks import Task
from kantor.tasks import made as made_task
from kantor.training import Training

UNREADABLE = "Bring the settings back as `kantor` wrote them, or begin another run by --out."
"""What to do where a run's own settings cannot be read."""
ClassName = str | int | float
"""A class in YAML: text in quotes stays as it is, and a bare number is its name."""
Setting = str | bool | int | float | list[str | bool | int | float] | None
TermItem = dict[str, str | int | float | list[str] | dict[str, Setting] | None]
MethodItem = dict[str, str | int | float | list[str | TermItem] | None]
"""A method in YAML. Typed throughout, since the parser reads text again as YAML where anything goes."""
MOST_SEEDS = 10_000
MOST_AT_ONCE = 4096
"""Threads or processes: more than any machine has; a process that tries to start them ends."""
WITHOUT_EFFECT = ("out", "jobs", "cache", "cache_limit", "trackers")
"""Settings that results do not depend on."""


@dataclass(kw_only=True)
class Study(Training):
    """Methods x seeds on one data set, one student and its teachers.

    Args:
        data: digits, a folder or zip of class folders, a folder of parquet files, a table of texts (tsv, csv, jsonl,
            parquet, as datasets saves it), an npz of named arrays, or a reader of your own,
            package.module:open_it@SETTING=VALUE.
        student: a model, as NAME[@setting=value]...; for example resnet8 or cnn@width=32. `teacher` is the teacher's
            architecture.
        start: where the student starts: scratch, teacher (the teacher's weights, with a new classifier where its
            classes are others), transport (a teacher of the student's make and other widths: its weights, carried
            through a plan between units), NAME:FILE, or RUN/METHOD/seed-{seed}, the student of the same seed of an
            earlier run. In YAML a method may have a start of its own.
        teacher: a model with its weights, as NAME:FILE; without FILE it is trained once and kept. Several are
            separated by commas; best:RANKING.json is the first of a ranking, best@top=3:RANKING.json the first three.
        teacher_classes: class names of a teacher whose weights do not carry them: a file with one a line, or A,B,C;
            in YAML also a list, or a mapping by teacher.
        teacher_weights: share of each of several teachers: equal, ranking (1 / its place), or a list of numbers.
        label_cost: cost between classes for label_transport: glove:FILE (word vectors of the names), sentences:MODEL,
            matrix:FILE, centres:NAME:FILE (class centres in a model's features), or learned (from training labels).
        task: what students learn and are judged by: labels (a class a sample, by cross-entropy and accuracy),
            regression, several_labels, dense_labels, token_classification, next_token, a task of your own as
            package.module:Task; or none: transfer without labels, judged by `kantor probe`.
        methods: what to compare, separated by commas; none is the student alone, terms are joined by +, and
            NAME:WEIGHT sets a weight, and NAME@SETTING=VALUE a setting; neuron_transport@stages=3 is a term at each of
            the last three stages. `kantor methods` lists the losses. With task none, none is the untrained student and
            a method that says task:WEIGHT uses labels all the same (task:1 alone is supervised).
        limit: of a transfer term under its default weight, the largest norm of its gradient in the student, as a
            multiple of the task's; while it is larger the weight is lowered. auto is 5 for sgd, and 0.2 for adamw,
            whose steps have one length whatever the gradients', so that the task's is taken under its own weight (kd
            alone gives it .1); null for no limit. NAME:WEIGHT and NAME@paper have none.
        unfit: what becomes of a method that cannot be used here (other classes, no ids, layers that it cannot take):
            refuse stops before a student is trained, skip leaves it out and says why.
        tune: factors to try, as 0.5,1,2, on every method's weights (none's learning rate) before the comparison; the
            one that is best on validation data, by the task's metric, is taken. Every method gets as many trials.
        tune_lr: factors to try on the learning rate of methods without transfer, as many as tune has; those of tune if
            left out.
        tune_seeds: seeds of these trials; used for nothing else.
        seeds: how many seeds, 0 to N-1; or a list of seeds, as 100,101 (100, is the list of one).
        classes: classes of the data to keep, in this order, as A,B,C (in YAML also a list); all if left out.
        labels_per_class: training samples of every class that the student may see; fewer are a part of more. Several
            numbers, as 5,20,100, are a run each. Validation is cut before, and is the same for all.
        train_limit: training samples the student may see, stratified by class; null for all.
        unlabelled: so many training samples, or all, come without labels beside each batch (unlabelled_batch): transfer
            terms see them, the task does not. They are those that have none (label -1 or empty, a class folder called
            unlabelled) and those that labels_per_class or train_limit leaves out. With task none they are training
            samples like all others.
        validation: share of these cut off for choosing the best epoch, in [0, 1); 0 for none.
        image_size: side in pixels that images are resized to.
        views: what each role sees, as teacher=NAME,student=NAME (in YAML also a mapping): arrays of an npz, columns of
            parquet, or transforms of the image: image, luminance, chrominance, small@side=16,
            degraded@noise=0.1@blur=1. A teacher among several may have a view of its own, by its name, as
            student=cheap,mri=scan,ct=xray; teacher= is then for those that are not named.
        label: name of the label column or array, where it is not the usual one.
        text: name of a table's column of texts, where it is not the usual one.
        tokenizer: of models that bring none: bpe:SIZE, byte pairs learned from the training texts, a tokenizer.json, or
            the folder of one; auto is the teacher's, and bpe:4000 where it has none.
        max_length: tokens that texts are cut to; if left out what a model takes, at most 128.
        skip_corrupt: leave out images that cannot be decoded and texts that are empty, and say which.
        teacher_epochs: epochs for a teacher that must be trained; it sees all training samples but the student's
            validation part.
        teacher_lr: peak learning rate for it.
        top_logits: of a teacher's logits for a token, how many are used, as 64: those of the likeliest tokens and of
            the one that came; the others share the rest evenly. They are few enough to keep. All if left out, and then
            the teacher runs on every batch.
        cache: keep the teacher's outputs on disk; auto does where the augmentation has fixed views.
        cache_limit: largest cache in GB.
        jobs: students trained at once, in processes of their own; 0 for as many as the cores carry. Results do not
            depend on it, but for the threads that are chosen with it.
        threads: threads of each process; 0 chooses: one for a small student, and for a large one the cores shared
            among the jobs. It is fixed when a run begins, and kept when it is resumed, here or elsewhere.
        out: the run's folder; runs/DATA-STUDENT-DIGEST if left out. Runs, teachers and caches live beside it.
    """

    data: str
    student: str
    start: str = "scratch"
    teacher: str | None = None
    teacher_classes: str | list[ClassName] | dict[str, str | list[ClassName] | None] | None = None
    teacher_weights: Literal["equal", "ranking"] | list[float] = "equal"
    label_cost: str | None = None
    task: str = "labels"
    methods: str | list[str | MethodItem] = "none,kd,neuron_transport"
    limit: float | Literal["auto"] | None = "auto"
    unfit: Literal["refuse", "skip"] = "refuse"
    tune: list[float] = field(default_factory=list)
    tune_lr: list[float] = field(default_factory=list)
    tune_seeds: list[int] = field(default_factory=lambda: [1000])
    seeds: int | list[int] = 5
    classes: str | list[ClassName] | None = None
    labels_per_class: int | str | list[int] | None = None
    train_limit: int | None = None
    unlabelled: int | Literal["all"] | None = None
    validation: float = 0.1
    image_size: int | None = None
    views: str | dict[str, str] | None = None
    label: str | None = None
    text: str | None = None
    tokenizer: str = "auto"
    max_length: int | None = None
    skip_corrupt: bool = False
    teacher_epochs: int = 30
    teacher_lr: float = 0.1
    top_logits: int | None = None
    cache: str = "auto"
    cache_limit: float = 4.0
    jobs: int = 0
    threads: int = 0
    out: str | None = None

    def check(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigError: names the setting and what it takes.
        """
        super().check()
        if self.cache not in ("auto", "on", "off"):
            raise ConfigError(f"cache is auto, on or off, not {self.cache!r}.")
        if isinstance(self.seeds, int) and not 1 <= self.seeds <= MOST_SEEDS:
            raise ConfigError(f"seeds is at least 1 and at most {MOST_SEEDS:,}, or a list of seeds, not {self.seeds}.")
        for name, seeds in {"seeds": self.seed_list(), "tune_seeds": self.tune_seeds}.items():
            if large := next((seed for seed in seeds if abs(seed) >= 2**63), None):
                raise ConfigError(f"{name} are below 2^63, and not {large}.")
        if len(set(self.seed_list())) != len(self.seed_list()):
            raise ConfigError(f"seeds holds one twice: {self.seeds}.")
        if self.tune and (min(self.tune) <= 0 or not self.tune_seeds):
            raise ConfigError("tune is a list of positive factors, and tune_seeds of at least one seed.")
        if self.tune_lr and (len(self.tune_lr) != len(self.tune) or min(self.tune_lr) <= 0):
            raise ConfigError(
                f"tune_lr is as many positive factors as tune has ({len(self.tune)}), so that every method has as many "
                f"trials; got {self.tune_lr}."
            )
        if self.tune and set(self.tune_seeds) & set(self.seed_list()):
            raise ConfigError(f"tune_seeds {self.tune_seeds} are also seeds of the comparison; take others.")
        if self.tune and self.validation == 0:
            raise ConfigError("tune needs a validation part: set validation.")
        if self.top_logits is not None and self.top_logits < 1:
            raise ConfigError(f"top_logits is a number of tokens, 1 or more, not {self.top_logits}.")
        if self.teacher_epochs < 1:
            raise ConfigError(f"teacher_epochs is at least 1, not {self.teacher_epochs}.")
        if not self.teacher_lr > 0:
            raise ConfigError(f"teacher_lr is positive, not {self.teacher_lr:g}.")
        if self.label_cost is not None:
            CostSource.parse(self.label_cost)
        task = self.learned()
        if task is None and self.select == "best":
            raise ConfigError("select best needs the accuracy that task none does without: the last epoch is kept.")
        if self.top_logits is not None and (task is None or task.labels != "next"):
            raise ConfigError(
                "top_logits is of what language models say of every token (task next_token): leave it out."
            )
        if task is not None and task.labels != "classes":
            self._check_no_classes(task)
        if self.label_numbers() and self.train_limit is not None:
            raise ConfigError("train_limit and labels_per_class both say what the student may see: give one.")
        if self.unlabelled is None and self.unlabelled_batch is not None:
            raise ConfigError("unlabelled_batch says how unlabelled samples come: say how many there are (unlabelled).")
        if isinstance(self.limit, float) and not (math.isfinite(self.limit) and self.limit > 0):
            raise ConfigError(f"limit is a positive multiple of the task's gradient, auto or null, not {self.limit:g}.")
        if not 0 <= self.jobs <= MOST_AT_ONCE or not 0 <= self.threads <= MOST_AT_ONCE:
            raise ConfigError(f"jobs and threads are 0 (choose) to {MOST_AT_ONCE}.")

    def _check_no_classes(self, task: Task) -> None:
        """Refuse what is made of classes where the labels are none."""
        for name in ("labels_per_class", "classes", "label_cost"):
            if getattr(self, name) is not None:
                raise ConfigError(f"{name} goes by classes, and in task {task.name} a sample has none: leave it out.")
        if task.labels in ("maps", "next") and self.augment not in ("auto", "none"):
            raise ConfigError(f"augment {self.augment} moves images and not the labels of task {task.name}: set none.")

    def learned(self) -> Task | None:
        """What students learn from labels, and are judged by; None where they do without (task none).

        Raises:
            ConfigError: there is no such task, or it is code that nobody gave leave for.
        """
        return None if self.task == "none" else made_task(self.task)

    def weight_limit(self) -> float | None:
        """``limit``, chosen by the optimiser where it is auto."""
        if self.limit == "auto":
            return LIMIT if self.optimizer == "sgd" else LIMIT_ADAMW
        return self.limit

    def seed_list(self) -> list[int]:
        """``seeds: 5`` means seeds 0 to 4."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    def label_numbers(self) -> list[int]:
        """``labels_per_class`` as numbers; empty where it is left out.

        Raises:
            ConfigError: something in it is no positive number, or is there twice.
        """
        given = self.labels_per_class
        items = [] if given is None else given.split(",") if isinstance(given, str) else given
        items = [items] if isinstance(items, int) else items
        try:
            numbers = [int(item) for item in items]
        except (TypeError, ValueError):
            numbers = [0]
        if min(numbers, default=1) < 1:
            raise ConfigError(f"labels_per_class is a number of samples, or several as 5,20,100, not {given!r}.")
        if len(set(numbers)) < len(numbers):
            raise ConfigError(f"labels_per_class holds a number twice: {given!r}.")
        return numbers

    def view_map(self) -> dict[str, str] | None:
        """``teacher=NAME,student=NAME`` as a mapping, as written; see
        :func:`kantor.study.settings.views.views_by_role`.

        Raises:
            ConfigError: it is not of that form, or says twice what one sees.
        """
        return None if self.views is None else written_views(self.views)

    def codes(self) -> list[str]:
        """All code that the settings ask for (:mod:`kantor.core.trust`)."""
        methods = self.methods if isinstance(self.methods, list) else []
        starts = [self.start, *(method.get("start") for method in methods if isinstance(method, dict))]
        cost = (self.label_cost or "").partition(":")[2]
        names = [self.student, *(self.teacher or "").split(","), cost, *starts]
        models = models_codes(str(name).strip().replace("{seed}", "0") for name in names if name)
        task = [self.task] if is_path(self.task) else []
        return [*models, *methods_codes(self.methods), *data_codes(self.data), *task]

    def digest(self) -> str:
        """What results depend on, as a hex digest: not where they are put, nor how many run at once."""
        content = {k: v for k, v in self.telling().items() if k not in WITHOUT_EFFECT}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def folder(self) -> Path:
        """The run's folder."""
        if self.out is not None:
            return Path(self.out)
        student = self.student.rpartition(":")[2] if is_object(self.student) else self.student.partition(":")[0]
        names = [short_name(self.data), student]
        return Path("runs") / "-".join([*names, self.digest()[:8]])

    def to_yaml(self) -> str:
        """The settings as ``config.yaml`` holds them."""
        return dump_yaml(dataclasses.asdict(self))

    @classmethod
    def of_run(cls, run: Path) -> "Study":
        """The settings a run was started with, in its ``config.yaml``.

        Args:
            run: its folder, of this format or an earlier one.

        Raises:
            ConfigError: the file is missing, or has a key that is unknown; or a later version made the run.
            DataError: it is not YAML, or a setting in it is of another type.
        """
        path, content = run / "config.yaml", read_settings(run, UNREADABLE)
        known = [f.name for f in dataclasses.fields(cls)]
        for key in content:
            if key not in known:
                raise ConfigError(f"{path} has an unknown key {key!r}. {suggest(key, known)}")
        config = cls(**check_shape(content, cls, str(path), UNREADABLE))
        trust.found(config.codes(), path)
        return config


@dataclass(kw_only=True)
class FineTune(Study):
    """The same settings as of a study, with defaults for a pretrained model that is adapted to a new task.

    The student is the teacher's network with its weights and a new classifier, which learns ten times as fast.
    """

    student: str = "teacher"
    start: str = "teacher"
    methods: str | list[str | MethodItem] = "none,l2_sp,delta,neuron_transport:1,neuron_transport@plan=identity:1"
    unfit: Literal["refuse", "skip"] = "skip"
    """delta, for one, is for classes: with another task it is left out, and said."""
    lr: float = 0.01
    head_lr: float = 10.0
