"""Every method's settings, chosen for each task on its validation images from the same number of trials."""

import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from teachers import LABELS, TASKS, TEACHERS

from kantor.losses import LOSSES
from kantor.study import Study, run_study

LABEL, NEURON, BOTH = "label_transport", "neuron_transport", "label_transport + neuron_transport"
FEATURES = ["fitnet", "wcord", NEURON]
LOUDNESS = [0.03, 0.1, 0.3, 1.0]
"""What a feature loss's default weight is multiplied by."""
ALONE = [{"lr": lr, "weight_decay": decay} for lr in (0.05, 0.1) for decay in (5e-4, 5e-3)]
"""The student alone is tuned first; its learning rate and weight decay are then everyone's."""


@dataclass(frozen=True)
class Trial:
    """One way to train a student."""

    name: str
    cost: str
    """Where label costs come from."""
    terms: list[dict[str, Any]]
    accuracy: float | None = None
    """On validation images, after the last epoch; the mean over the trials' seeds."""


@dataclass(frozen=True)
class Bench:
    """What all studies of a run share."""

    folder: Path
    teachers: dict[str, str]
    """Their models."""
    words: str
    """The label cost that the ranking uses."""
    epochs: int
    jobs: int
    tune_seeds: list[int]
    unlabelled: bool
    """Whether transfer sees images without labels too."""

    def study(
        self, out: Path, task: str, teacher: str, cost: str, methods: list[Any], seeds: list[int], training: dict
    ) -> Path:
        """Train these students where that is not done; those of the trials' seeds are judged by validation."""
        name = f"{task}-choosing" if seeds == self.tune_seeds else task
        study = Study(
            data=str(self.folder / "data" / f"{name}.npz"),
            student="cnn@width=32",
            teacher=self.teachers[teacher],
            methods=methods,
            label_cost=cost,
            labels_per_class=LABELS,
            # Nothing is shown to the student alone, and kantor refuses to pretend so.
            unlabelled="all" if self.unlabelled and methods != ["none"] else None,
            seeds=seeds,
            epochs=self.epochs,
            batch_size=40,
            augment="mirror",
            validation=0.0,
            select="last",
            checkpoint_every=10**6,
            precision="bf16",
            record_plans="every=0",
            jobs=self.jobs,
            threads=1,
            out=str(out),
            **training,
        )
        return run_study(study, Console(quiet=True))

    def choose(self, task: str, teacher: str) -> dict[str, Any]:
        """The student's learning rate and weight decay, then each method's settings; with all trials.

        Of equal accuracies the first is taken.
        """
        alone = []
        for k, training in enumerate(ALONE):
            (trial,) = self._tried(f"alone-{k}", task, teacher, [Trial("none", self.words, [])], training)
            alone.append(training | {"accuracy": trial.accuracy})
        training = {key: max(alone, key=lambda t: t["accuracy"])[key] for key in ALONE[0]}
        methods = {LABEL: label_trials(self.words)} | {loss: _feature_trials(loss, self.words) for loss in FEATURES}
        if TEACHERS[teacher] == TASKS[task]:  # KD compares distributions over the same classes
            methods["kd"] = _kd_trials(self.words)
        found = self._best(task, teacher, methods, training)
        label, neuron = (found[loss]["chosen"] for loss in (LABEL, NEURON))
        both = [
            Trial(f"{BOTH} {k}", label["cost"], [_louder(label["terms"][0], a), _louder(neuron["terms"][0], b)])
            for k, (a, b) in enumerate(itertools.product((0.5, 1.0), (0.3, 1.0)))
        ]
        found |= self._best(task, teacher, {BOTH: both}, training)
        return {"teacher": teacher, "training": training, "alone": alone, "methods": found}

    def _best(self, task: str, teacher: str, methods: dict[str, list[Trial]], training: dict) -> dict[str, Any]:
        wanted = [trial for trials in methods.values() for trial in trials]
        done = {
            trial.name: trial
            for trial in self._tried("tune-" + "-".join(methods)[:20], task, teacher, wanted, training)
        }
        found = {}
        for method, trials in methods.items():
            tried = [done[trial.name] for trial in trials]
            best = max(tried, key=lambda trial: trial.accuracy or 0.0)
            found[method] = {"chosen": asdict(best), "trials": [asdict(trial) for trial in tried]}
            print(f"{task}: {method}: {', '.join(f'{100 * (t.accuracy or 0):.1f}' for t in tried)}", flush=True)
        return found

    def _tried(self, name: str, task: str, teacher: str, trials: list[Trial], training: dict) -> list[Trial]:
        """The trials with their accuracies; a study for each label cost."""
        done = []
        for k, cost in enumerate(dict.fromkeys(trial.cost for trial in trials)):
            these = [trial for trial in trials if trial.cost == cost]
            out = self.folder / "studies" / task / f"{name}-{k}"
            methods = [{"name": t.name, "terms": t.terms} if t.terms else t.name for t in these]
            self.study(out, task, teacher, cost, methods, self.tune_seeds, training)
            reached = json.loads((out / "summary.json").read_text())["methods"]
            done += [Trial(t.name, t.cost, t.terms, reached[t.name]["mean"]) for t in these]
        return done


def label_trials(words: str) -> list[Trial]:
    """Two sources of the cost, two weights."""
    grid = itertools.product((words, "learned"), (0.5, 2.0))
    settings = {"temperature": 2.0, "epsilon": 0.3}
    return [
        Trial(f"{LABEL} {k}", cost, [{"loss": LABEL, "weight": weight, "settings": settings}])
        for k, (cost, weight) in enumerate(grid)
    ]


def _kd_trials(words: str) -> list[Trial]:
    grid = itertools.product((2.0, 4.0), (0.3, 1.0))
    return [
        Trial(f"kd {k}", words, [{"loss": "kd", "weight": weight, "settings": {"temperature": temperature}}])
        for k, (temperature, weight) in enumerate(grid)
    ]


def _feature_trials(loss: str, words: str) -> list[Trial]:
    weight = LOSSES[loss].default_weight
    return [Trial(f"{loss} {k}", words, [{"loss": loss, "weight": f * weight}]) for k, f in enumerate(LOUDNESS)]


def _louder(term: dict[str, Any], factor: float) -> dict[str, Any]:
    return term | {"weight": factor * term["weight"]}
