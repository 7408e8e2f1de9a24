"""Read layers out of any ``nn.Module`` by module path, and propose which layers of two networks to pair."""

from kantor.capture.hooks import LOGITS, PENULTIMATE, Captured, capture, path_root
from kantor.capture.layers import Layer, candidates
from kantor.capture.layout import Layout
from kantor.capture.network import call, read
from kantor.capture.pairing import Pair, pair
from kantor.capture.stages import stages

__all__ = [
    "LOGITS",
    "PENULTIMATE",
    "Captured",
    "Layer",
    "Layout",
    "Pair",
    "call",
    "candidates",
    "capture",
    "pair",
    "path_root",
    "read",
    "stages",
]
