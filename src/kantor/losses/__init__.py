"""Transfer losses: one method, one file, one contract."""

import inspect
from typing import Any

from kantor.core.errors import ConfigError, suggest
from kantor.losses.base import TransferLoss
from kantor.losses.fitnet import FitNet, fitnet
from kantor.losses.kd import KD, kd
from kantor.losses.label_transport import LabelCost, LabelTransport, label_transport
from kantor.losses.neuron_transport import NeuronTransport, neuron_transport

LOSSES: dict[str, type[TransferLoss]] = {loss.name: loss for loss in (NeuronTransport, KD, FitNet, LabelTransport)}
"""Every loss that ``--methods`` and YAML can name."""


def named(name: str, **settings: Any) -> TransferLoss:
    """The loss of that name, with its settings.

    Raises:
        ConfigError: no loss or no setting has that name; the message says which are close.
    """
    if name not in LOSSES:
        raise ConfigError(f"No transfer loss is called {name!r}. {suggest(name, LOSSES)}")
    known = [p for p in inspect.signature(LOSSES[name]).parameters if p != "self"]
    for setting in settings:
        if setting not in known:
            raise ConfigError(f"{name} has no setting {setting!r}. {suggest(setting, known)}")
    return LOSSES[name](**settings)


__all__ = [
    "KD",
    "LOSSES",
    "FitNet",
    "LabelCost",
    "LabelTransport",
    "NeuronTransport",
    "TransferLoss",
    "fitnet",
    "kd",
    "label_transport",
    "named",
    "neuron_transport",
]
