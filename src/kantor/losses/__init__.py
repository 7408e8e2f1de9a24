"""Transfer losses: one method, one file, one contract."""

import copy
from collections.abc import Mapping
from typing import Any

from kantor.core import trust
from kantor.core.errors import ConfigError, suggest
from kantor.core.imported import is_path
from kantor.core.objects import is_object, object_at
from kantor.losses.ab import AB, ab
from kantor.losses.alm import ALM, alm
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
from kantor.losses.gold import GOLD, gold
from kantor.losses.kd import KD, kd
from kantor.losses.l2_sp import L2SP, l2_sp
from kantor.losses.label_transport import LabelCost, LabelTransport, label_transport
from kantor.losses.lckt import LCKT, lckt
from kantor.losses.multilevel_ot import MultiLevelOT, multilevel_ot
from kantor.losses.neuron_transport import NeuronTransport, neuron_transport
from kantor.losses.nst import NST, nst
from kantor.losses.own import own_loss
from kantor.losses.penalty import WeightPenalty
from kantor.losses.pkt import PKT, pkt
from kantor.losses.reviewkd import ReviewKD, hierarchical_context, reviewkd
from kantor.losses.rkd import RKD, rkd
from kantor.losses.settings import fitted
from kantor.losses.sinkd import SinKD, sinkd
from kantor.losses.sp import SP, sp
from kantor.losses.string_projection import StringProjection, string_projection
from kantor.losses.uld import ULD, merged_uld, uld
from kantor.losses.vid import VID, vid
from kantor.losses.vocabulary_map import VocabularyMap
from kantor.losses.vocabulary_transport import VocabularyTransport, vocabulary_transport
from kantor.losses.wcord import WCoRD, wcord
from kantor.losses.wkd_feature import WKDFeature, wkd_feature
from kantor.losses.wkd_logit import WKDLogit, wkd_logit

LOSSES: dict[str, type[TransferLoss]] = {
    loss.name: loss
    for loss in (
        NeuronTransport, WCoRD, GCKT, LCKT, LabelTransport, VocabularyTransport, WKDLogit, WKDFeature, SinKD,
        EMDFeature, ULD, MultiLevelOT, GOLD, ALM, StringProjection, KD, FitNet, AT, SP, CC, VID, RKD, PKT, AB,
        FT, FSP, NST, CRD, DKD, DIST, ReviewKD, Delta,
    )
}  # fmt: skip
"""Every transfer loss that ``--methods`` and YAML can name; those by transport first."""

PENALTIES: dict[str, type[WeightPenalty]] = {L2SP.name: L2SP}
"""Every penalty on weights that they can name. (A loss as a function has this name too: ``kantor.losses.kd``.)"""


def named(name: str, **settings: Any) -> TransferLoss | WeightPenalty:
    """The loss or penalty of that name, with its settings.

    Args:
        name: a built-in, or your own class as ``package.module:MyLoss``.
        settings: what the class takes.

    Raises:
        ConfigError: no loss or no setting has that name, where the message says which are close; a setting's value is
            not of its type; or a path names what is no loss.
    """
    trust.wrote(codes_of(name, settings))
    return made(name, settings)


def codes_of(name: str, settings: Mapping[str, Any]) -> list[str]:
    """The code that a loss's name asks for (:mod:`kantor.core.trust`)."""
    return [trust.code(name, settings)] if is_path(name) else []


def made(name: str, settings: Mapping[str, Any]) -> TransferLoss | WeightPenalty:
    """:func:`named` for a name that may stand in a file, which decides no code that runs (:mod:`kantor.core.trust`).

    Of a loss that a program handed over it is a copy.

    Raises:
        ConfigError: it names code that the user did not write; or see :func:`named`.
    """
    kind = kind_of(name, settings)
    if is_object(name) and isinstance(loss := object_at(name), kind):
        return copy.deepcopy(loss)
    return kind(**fitted(name, kind, dict(settings)))


def kind_of(name: str, settings: Mapping[str, Any]) -> type[TransferLoss] | type[WeightPenalty]:
    """The class of the loss or penalty of that name.

    Args:
        name: see :func:`named`.
        settings: what it will be made with: text among them may choose code, so it takes part in what is allowed.

    Raises:
        ConfigError: there is none, or see :func:`made`.
    """
    every = {**LOSSES, **PENALTIES}
    if name in every:
        return every[name]
    if is_path(name):
        return own_loss(name, settings, every)
    raise ConfigError(
        f"No transfer loss is called {name!r}. {suggest(name, every)} One of your own is written package.module:MyLoss."
    )


__all__ = [
    "AB", "ALM", "AT", "CC", "CRD", "DIST", "DKD", "FSP", "FT", "GCKT", "GOLD", "KD", "L2SP", "LCKT", "LOSSES",
    "NST", "PENALTIES", "PKT", "RKD", "SP", "ULD", "VID", "Delta", "EMDFeature", "FitNet", "LabelCost",
    "LabelTransport", "MultiLevelOT", "NeuronTransport", "ReviewKD", "SinKD", "StringProjection", "TransferLoss",
    "VocabularyMap", "VocabularyTransport", "WCoRD", "WKDFeature", "WKDLogit", "WeightPenalty", "ab", "alm", "at",
    "cc", "codes_of", "crd", "delta", "dist", "dkd", "emd_feature", "fitnet", "fsp", "ft", "gckt", "gold",
    "hierarchical_context", "kd", "kind_of", "l2_sp", "label_transport", "lckt", "made", "merged_uld",
    "multilevel_ot", "named", "nce", "neuron_transport", "nst", "pkt", "reviewkd", "rkd", "sinkd", "sp",
    "string_projection", "uld", "vid", "vocabulary_transport", "wcord", "wkd_feature", "wkd_logit",
]  # fmt: skip
