"""Two models side by side: transport distances, CKA, who matches whom, and what recorded plans did."""

from kantor.analysis.activations import activations
from kantor.analysis.cka import linear_cka
from kantor.analysis.compare import Compare, compare_models
from kantor.analysis.distance import Matching, match_neurons, neuron_distance
from kantor.analysis.matrices import Matrices, layer_matrices
from kantor.analysis.pairs import PairFound, look_at_pair
from kantor.analysis.predictions import Predictions, compare_predictions
from kantor.analysis.reallocation import Reallocation, partners, reallocation
from kantor.analysis.records import Trajectory, read_trajectories
from kantor.analysis.samples import top_samples

__all__ = [
    "Compare", "Matching", "Matrices", "PairFound", "Predictions", "Reallocation", "Trajectory", "activations",
    "compare_models", "compare_predictions", "layer_matrices", "linear_cka", "look_at_pair", "match_neurons",
    "neuron_distance", "partners", "read_trajectories", "reallocation", "top_samples",
]  # fmt: skip
