"""One training run: the loop, its checkpoints, its records."""

from kantor.training.config import Training
from kantor.training.evaluate import Scores, evaluate
from kantor.training.loop import train
from kantor.training.outcome import Outcome
from kantor.training.plans import Pair, Probe
from kantor.training.stop import Interrupted

__all__ = ["Interrupted", "Outcome", "Pair", "Probe", "Scores", "Training", "evaluate", "train"]
