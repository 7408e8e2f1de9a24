"""A model from its name: what stands before the network, the network, and what its outputs mean."""

from kantor.models.loading import known_input, load
from kantor.models.model import Model
from kantor.models.normalise import Normalise

__all__ = ["Model", "Normalise", "known_input", "load"]
