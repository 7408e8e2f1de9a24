"""Transfer losses: one method, one file, one contract."""

import inspect
from typing import Any

from kantor.core.errors import ConfigError, suggest
from kantor.losses.ab import AB
from kantor.losses.at import AT, at
from kantor.losses.base import TransferLoss
from kantor.losses.cc import CC, cc
from kantor.losses.crd import CRD
from kantor.losses.dist import DIST, dist
from kantor.losses.dkd import DKD, dkd
from kantor.losses.emd_feature import EMDFeature, emd_feature
from kantor.losses.fitnet import FitNet, fitnet
from kantor.losses.fsp import FSP, fsp
from kantor.losses.ft import FT, ft
from kantor.losses.gckt import GCKT, gckt
from kantor.losses.kd import KD, kd
from kantor.losses.label_transport import LabelCost, LabelTransport, label_transport
from kantor.losses.lckt import LCKT, lckt
from kantor.losses.multilevel_ot import MultiLevelOT, multilevel_ot
from kantor.losses.neuron_transport import NeuronTransport, neuron_transport
from kantor.losses.nst import NST, nst
from kantor.losses.pkt import PKT, pkt
from kantor.losses.reviewkd import ReviewKD
from kantor.losses.rkd import RKD, rkd
from kantor.losses.sinkd import SinKD, sinkd
from kantor.losses.sp import SP, sp
from kantor.losses.uld import ULD, uld
from kantor.losses.vid import VID, vid
from kantor.losses.wcord import WCoRD
from kantor.losses.wkd_feature import WKDFeature, wkd_feature
from kantor.losses.wkd_logit import WKDLogit, wkd_logit

LOSSES: dict[str, type[TransferLoss]] = {
    loss.name: loss
    for loss in (
        NeuronTransport, WCoRD, GCKT, LCKT, LabelTransport, WKDLogit, WKDFeature, SinKD, EMDFeature, ULD, MultiLevelOT,
        KD, FitNet, AT, SP, CC, VID, RKD, PKT, AB, FT, FSP, NST, CRD, DKD, DIST, ReviewKD,
    )
}  # fmt: skip
"""Every loss that ``--methods`` and YAML can name; those by transport first."""


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
    "AB", "AT", "CC", "CRD", "DIST", "DKD", "FSP", "FT", "GCKT", "KD", "LCKT", "LOSSES", "NST", "PKT", "RKD", "SP",
    "ULD", "VID", "EMDFeature", "FitNet", "LabelCost", "LabelTransport", "MultiLevelOT", "NeuronTransport",
    "ReviewKD", "SinKD", "TransferLoss", "WCoRD", "WKDFeature", "WKDLogit", "at", "cc", "dist", "dkd", "emd_feature",
    "fitnet", "fsp", "ft", "gckt", "kd", "label_transport", "lckt", "multilevel_ot", "named", "neuron_transport",
    "nst", "pkt", "rkd", "sinkd", "sp", "uld", "vid", "wkd_feature", "wkd_logit",
]  # fmt: skip
