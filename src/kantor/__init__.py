"""Distil, transfer and compare neural representations by optimal transport."""

from kantor import losses, ot
from kantor.data import Batch, open_data
from kantor.models import load
from kantor.objective import Objective, Result, Term

__all__ = ["Batch", "Objective", "Result", "Term", "load", "losses", "open_data", "ot"]
