"""A model from its name: what stands before the network, the network, and what its outputs mean."""

from kantor.models.loading import load, load_trained
from kantor.models.model import Model
from kantor.models.normalise import Normalise
from kantor.models.pretrained import has_weights

__all__ = ["Model", "Normalise", "has_weights", "load", "load_trained"]
