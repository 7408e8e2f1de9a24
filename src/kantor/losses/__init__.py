"""Transfer losses: one method, one file, one contract."""

from typing import Any

from kantor.core.errors import ConfigError, suggest
from kantor.losses.ab import AB, ab
from kantor.losses.at import AT, at
from kantor.losses.base import TransferLoss
from kantor.losses.cc import CC, cc
from kantor.losses.crd import CRD, crd, nce
from kantor.losses.delta import Delta, delta
from kantor.losses.dist import DIST, dist
from kantor.losses.dkd import DKD, dkd
from kantor.losses.emd_feature import EMDFeature, emd_feature
from kantor.losses.fitnet import FitNet, fitnet
from kantor.losses.fsp import FSP, fsp
from kantor.losses.ft import FT, ft
from kantor.losses.gckt import GCKT, gckt
from kantor.losses.kd import KD, kd
from kantor.losses.l2_sp import L2SP, l2_sp
from kantor.losses.label_transport import LabelCost, LabelTransport, label_transport
from kantor.losses.lckt import LCKT, lckt
from kantor.losses.multilevel_ot import MultiLevelOT, multilevel_ot
from kantor.losses.neuron_transport import NeuronTransport, neuron_transport
from kantor.losses.nst import NST, nst
from kantor.losses.penalty import WeightPenalty
from kantor.losses.pkt import PKT, pkt
from kantor.losses.reviewkd import ReviewKD, hierarchical_context, reviewkd
from kantor.losses.rkd import RKD, rkd
from kantor.losses.settings import fitted
from kantor.losses.sinkd import SinKD, sinkd
from kantor.losses.sp import SP, sp
from kantor.losses.uld import ULD, uld
from kantor.losses.vid import VID, vid
from kantor.losses.wcord import WCoRD, wcord
from kantor.losses.wkd_feature import WKDFeature, wkd_feature
from kantor.losses.wkd_logit import WKDLogit, wkd_logit

LOSSES: dict[str, type[TransferLoss]] = {
    loss.name: loss
    for loss in (
        NeuronTransport, WCoRD, GCKT, LCKT, LabelTransport, WKDLogit, WKDFeature, SinKD, EMDFeature, ULD, MultiLevelOT,
        KD, FitNet, AT, SP, CC, VID, RKD, PKT, AB, FT, FSP, NST, CRD, DKD, DIST, ReviewKD, Delta,
    )
}  # fmt: skip
"""Every transfer loss that ``--methods`` and YAML can name; those by transport first."""

PENALTIES: dict[str, type[WeightPenalty]] = {L2SP.name: L2SP}
"""Every penalty on weights that they can name. (A loss as a function has this name too: ``kantor.losses.kd``.)"""


def named(name: str, **settings: Any) -> TransferLoss | WeightPenalty:
    """The loss or penalty of that name, with its settings.

    Raises:
        ConfigError: no loss or no setting has that name, where the message says which are close; or a setting's value
            is not of its type.
    """
    every = {**LOSSES, **PENALTIES}
    if name not in every:
        raise ConfigError(f"No transfer loss is called {name!r}. {suggest(name, every)}")
    return every[name](**fitted(name, every[name], settings))


__all__ = [
    "AB", "AT", "CC", "CRD", "DIST", "DKD", "FSP", "FT", "GCKT", "KD", "L2SP", "LCKT", "LOSSES", "NST", "PENALTIES",
    "PKT", "RKD", "SP", "ULD", "VID", "Delta", "EMDFeature", "FitNet", "LabelCost", "LabelTransport", "MultiLevelOT",
    "NeuronTransport", "ReviewKD", "SinKD", "TransferLoss", "WCoRD", "WKDFeature", "WKDLogit", "WeightPenalty", "ab",
    "at", "cc", "crd", "delta", "dist", "dkd", "emd_feature", "fitnet", "fsp", "ft", "gckt", "hierarchical_context",
    "kd", "l2_sp", "label_transport", "lckt", "multilevel_ot", "named", "nce", "neuron_transport", "nst", "pkt",
    "reviewkd", "rkd", "sinkd", "sp", "uld", "vid", "wcord", "wkd_feature", "wkd_logit",
]  # fmt: skip
