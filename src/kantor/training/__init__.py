"""One training run: the loop, its checkpoints, its records."""

from kantor.training.config import Training
from kantor.training.evaluate import Scores, evaluate
from kantor.training.loop import train
from kantor.training.outcome import Outcome
from kantor.training.plans import Pair, PlanSamples
from kantor.training.stop import Interrupted

__all__ = ["Interrupted", "Outcome", "Pair", "PlanSamples", "Scores", "Training", "evaluate", "train"]
