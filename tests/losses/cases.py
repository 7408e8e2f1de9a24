"""One row for every loss: what the shared checks of test_contract.py and test_two_processes.py run it on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kantor.capture.spans import SharedSpans, TokenSpans
from kantor.core.collectives import rank, world_size
from kantor.losses.ab import AB
from kantor.losses.alm import ALM
from kantor.losses.at import AT
from kantor.losses.base import Features, TransferLoss
from kantor.losses.cc import CC
from kantor.losses.crd import CRD
from kantor.losses.delta import Delta
from kantor.losses.dist import DIST
from kantor.losses.dkd import DKD
from kantor.losses.emd_feature import EMDFeature
from kantor.losses.fitnet import FitNet
from kantor.losses.fsp import FSP
from kantor.losses.ft import FT
from kantor.losses.gckt import GCKT
from kantor.losses.gold import GOLD
from kantor.losses.kd import KD
from kantor.losses.lckt import LCKT
from kantor.losses.multilevel_ot import MultiLevelOT
from kantor.losses.neuron_transport import NeuronTransport
from kantor.losses.nst import NST
from kantor.losses.pkt import PKT
from kantor.losses.reviewkd import ReviewKD
from kantor.losses.rkd import RKD
from kantor.losses.sinkd import SinKD
from kantor.losses.sp import SP
from kantor.losses.string_projection import StringProjection
from kantor.losses.uld import ULD
from kantor.losses.vid import VID
from kantor.losses.vocabulary_map import VocabularyMap
from kantor.losses.vocabulary_transport import VocabularyTransport
from kantor.losses.wcord import WCoRD
from kantor.losses.wkd_feature import WKDFeature
from kantor.losses.wkd_logit import WKDLogit

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A loss, freshly made with settings small enough to test, and the shapes it compares (batch of 8 first)."""

    name: str
    make: Callable[[], TransferLoss]
    student: Shape | tuple[Shape, ...]
    teacher: Shape | tuple[Shape, ...]
    classes: int | None = None
    """Give targets in ``range(classes)``; None gives none."""
    samples: int = 0
    """Give ids in ``range(samples)``; 0 gives none."""
    masked: bool = False
    """Give masks: of each sample's tokens the first few count."""
    spans: bool = False
    """Give spans of text that student's tokens 0, 1+2 and 3 share with the teacher's 0, 1 and 2."""
    positive: bool = False
    """Features after a ReLU, strictly positive so that no kink is near."""
    prepares: bool = False
    """Run ``prepare`` on two batches after ``build``."""
    gradcheck: str = ""
    """Why there is no gradcheck: empty runs it."""
    solved: bool = False
    """Its value is solved to a tolerance, which finite differences have to step over."""
    compile: str = ""
    """Why it is not compiled: empty compiles it."""

    def __str__(self) -> str:
        return self.name

    @property
    def many(self) -> bool:
        return isinstance(self.student[0], tuple)

    def features(self, seed: int, dtype: torch.dtype = torch.float32) -> tuple[Features, Features]:
        """(student, teacher), the student's leaves with ``requires_grad``."""
        generator = torch.Generator().manual_seed(seed)

        def draw(shape: Shape, grad: bool) -> Tensor:
            x = torch.randn(shape, generator=generator, dtype=torch.float64)
            return (x.abs() + 0.05 if self.positive else x).to(dtype).requires_grad_(grad)

        def layers(shapes: Shape | tuple[Shape, ...], grad: bool) -> Features:
            if isinstance(shapes[0], tuple):
                return tuple(draw(shape, grad) for shape in shapes)  # type: ignore[arg-type]
            return draw(shapes, grad)  # type: ignore[arg-type]

        return layers(self.student, True), layers(self.teacher, False)

    def labels(self, seed: int) -> dict[str, Tensor | SharedSpans | None]:
        """``targets``, ``ids``, masks and spans as keyword arguments; ids are distinct."""
        generator = torch.Generator().manual_seed(1000 + seed)
        batch = self.student[0][0] if isinstance(self.student[0], tuple) else self.student[0]
        sides = {"student_mask": self.student, "teacher_mask": self.teacher} if self.masked else {}
        masks = {name: self._mask(shape) for name, shape in sides.items()}
        spans = {"spans": self._shared(generator)} if self.spans else {}
        return (
            masks
            | spans
            | {
                "targets": None if self.classes is None else torch.randint(self.classes, (batch,), generator=generator),
                "ids": None if self.samples == 0 else torch.randperm(self.samples, generator=generator)[:batch],
            }
        )

    def _shared(self, generator: torch.Generator) -> SharedSpans:
        def side(shape: Shape, first: list[int], last: list[int]) -> TokenSpans:
            batch, tokens, words = shape
            drawn = torch.randint(words, (batch, tokens), generator=generator)
            return TokenSpans(drawn, torch.tensor([first] * batch), torch.tensor([last] * batch))

        ours: Shape = self.student  # type: ignore[assignment]
        theirs: Shape = self.teacher  # type: ignore[assignment]
        mask = torch.arange(3) < 3 - (torch.arange(ours[0]) % 2).unsqueeze(1)
        return SharedSpans(side(ours, [0, 1, 3], [0, 2, 3]), side(theirs, [0, 1, 2], [0, 1, 2]), mask)

    def _mask(self, shape: Shape | tuple[Shape, ...]) -> Tensor:
        first: Shape = shape[0] if isinstance(shape[0], tuple) else shape  # type: ignore[assignment]
        batch, tokens = first[:2]  # all stages have as many
        return torch.arange(tokens) <= (torch.arange(batch) % tokens).unsqueeze(1)

    def _dealt(self, *sides: Features) -> tuple[Features, ...]:
        """This process's part of a batch."""
        mine = slice(rank(), None, world_size())
        return tuple(tuple(x[mine] for x in side) if self.many else side[mine] for side in sides)

    def build(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> TransferLoss:
        """A built loss in training mode, its pretraining done."""
        loss = self.make()
        torch.manual_seed(seed)
        shapes = (self.student, self.teacher) if self.many else ((self.student,), (self.teacher,))
        loss.build(*(tuple(torch.Size(s) for s in side) for side in shapes), self.samples)  # type: ignore[arg-type]
        loss.to(dtype)
        if self.prepares:
            with torch.no_grad():
                loss.prepare([self._dealt(*self.features(seed, dtype)) for seed in (90, 91)], [])
        return loss.train()


_STAGES = ((8, 4, 6, 6), (8, 6, 4, 4))
_WIDER = ((8, 6, 6, 6), (8, 8, 4, 4))

_BETWEEN = VocabularyMap(
    torch.tensor([0, 0, 1, 2, 3, 5, 6, 7, 8]),
    torch.tensor([0, 1, 1, 2, 3, 4, 5, 6, 6]),
    torch.tensor([0.5, 0.25, 1, 1, 0.5, 1, 1, 1, 1]),
    (9, 7),
)
_SAME = VocabularyMap(torch.tensor([0, 2, 5]), torch.tensor([1, 3, 4]), torch.ones(3), (9, 7))
_LANGUAGE = ((8, 4, 7), (8, 3, 9))
_IN_CHUNKS = "its gradient is made beside its value, chunk by chunk, where dynamo gives up"
_TOKENS = ((8, 5, 4), (8, 5, 6))
_SOLVES = "kantor.ot solves it outside any graph (an autograd function, or SciPy), where dynamo gives up"
_AGAIN = "its other row is compiled"
_PICKS = "a mask picks rows, whose number depends on data"
_HELD_PLAN = "the plan is held fixed while the cost moves; its own test holds it fixed in the differences too"

CASES: list[Case] = [
    Case("ab", AB, _STAGES, _WIDER),
    Case("alm", ALM, *_LANGUAGE, spans=True, compile=_PICKS),
    Case("at", AT, _STAGES, _WIDER),
    Case("at_masked", AT, _TOKENS, _TOKENS, masked=True),
    Case("cc", lambda: CC(dim=4), (8, 8), (8, 10)),
    Case("crd", lambda: CRD(negatives=12), (8, 6), (8, 10), samples=40),
    Case("crd_anchors", lambda: CRD(negatives_per_anchor=5), (8, 6, 2, 2), (8, 3, 10), samples=40),
    Case("delta", Delta, _STAGES, _STAGES),
    Case("dist", DIST, (8, 5), (8, 5)),
    Case("dkd", DKD, (8, 5), (8, 5), classes=5),
    Case("emd_feature", EMDFeature, (8, 6), (8, 6), gradcheck=_HELD_PLAN),
    Case("emd_feature_exact", lambda: EMDFeature(method="exact"), (8, 6, 2, 2), (8, 10), compile=_SOLVES),
    Case("fitnet", FitNet, (8, 4, 6, 6), (8, 6, 4, 4)),
    Case("fitnet_vectors", FitNet, (8, 6), (8, 10)),
    Case("fitnet_masked", FitNet, (8, 5, 4), (8, 5, 6), masked=True, compile=_PICKS),
    Case("fsp", FSP, _STAGES, _STAGES),
    Case("ft", FT, (8, 4, 4, 4), (8, 6, 4, 4), prepares=True),
    Case("gckt", lambda: GCKT(negatives=12), (8, 6), (8, 10), samples=40),
    Case("gckt_anchors", lambda: GCKT(negatives_per_anchor=5), (8, 6, 2, 2), (8, 3, 10), samples=40),
    Case("gold", lambda: GOLD(_SAME), *_LANGUAGE, spans=True, compile=_IN_CHUNKS),
    Case("gold_bayesian", lambda: GOLD(_SAME, 0.0, "bayesian", 0.3), *_LANGUAGE, spans=True, compile=_IN_CHUNKS),
    Case("kd", KD, (8, 5), (8, 5)),
    Case("kd_masked", KD, (8, 5, 7), (8, 5, 7), masked=True, compile=_PICKS),
    Case("lckt", LCKT, (8, 6), (8, 6), gradcheck=_HELD_PLAN),
    Case("lckt_widths", LCKT, (8, 6, 2, 2), (8, 10), gradcheck=_HELD_PLAN, compile=_AGAIN),
    Case("multilevel_ot", lambda: MultiLevelOT(top=5), (8, 4, 7), (8, 3, 9)),
    Case(
        "multilevel_ot_envelope",
        lambda: MultiLevelOT(5, "greedy", gradient="envelope"),
        (8, 4, 7),
        (8, 4, 9),
        compile=_SOLVES,
    ),
    Case("neuron_transport", NeuronTransport, (8, 6), (8, 10), gradcheck=_HELD_PLAN),
    Case(
        "neuron_transport_every",
        lambda: NeuronTransport(plan_every=2, plan_samples=12),
        (8, 6),
        (8, 6),
        gradcheck=_HELD_PLAN,
        compile=_AGAIN,
    ),
    Case(
        "neuron_transport_positions",
        lambda: NeuronTransport(spatial="positions", plan_momentum=0.0),
        (8, 4, 4, 4),
        (8, 6, 2, 2),
        gradcheck=_HELD_PLAN,
        compile=_AGAIN,
    ),
    Case(
        "neuron_transport_masked",
        lambda: NeuronTransport(spatial="positions", plan_momentum=0.0),
        (8, 5, 4),
        (8, 5, 6),
        masked=True,
        gradcheck=_HELD_PLAN,
        compile=_PICKS,
    ),
    Case("nst", NST, _STAGES, _WIDER),
    Case("pkt", PKT, (8, 8), (8, 10)),
    Case("reviewkd", ReviewKD, _STAGES, _WIDER),
    Case("rkd", RKD, (8, 8), (8, 10)),
    Case("sinkd", SinKD, (8, 5), (8, 5)),
    Case("sinkd_envelope", lambda: SinKD(gradient="envelope"), (8, 5), (8, 5), solved=True, compile=_SOLVES),
    Case("sp", SP, (8, 4, 4, 4), (8, 6, 2, 2)),
    Case("sp_masked", SP, (8, 5, 4), (8, 3, 6), masked=True),
    Case("string_projection", lambda: StringProjection(_BETWEEN), *_LANGUAGE, spans=True, compile=_IN_CHUNKS),
    Case("uld", ULD, (8, 4, 7), (8, 3, 9)),
    Case("uld_masked", ULD, (8, 4, 7), (8, 3, 9), masked=True),
    Case("uld_merged", lambda: ULD(merge="observed"), *_LANGUAGE, spans=True, compile=_IN_CHUNKS),
    Case("vid", VID, _STAGES, _WIDER),
    Case("vocabulary_transport", lambda: VocabularyTransport(_BETWEEN), *_LANGUAGE, spans=True, compile=_IN_CHUNKS),
    Case(
        "vocabulary_transport_masked",
        lambda: VocabularyTransport(_BETWEEN, 2.0, top=3),
        (8, 4, 7),
        (8, 4, 9),
        masked=True,
        compile=_IN_CHUNKS,
    ),
    Case("wcord", lambda: WCoRD(negatives=12), (8, 6), (8, 10), samples=40, gradcheck=_HELD_PLAN),
    Case("wkd_feature", WKDFeature, (8, 6, 4, 4), (8, 5, 4, 4)),
    Case("wkd_feature_cells", lambda: WKDFeature(3.0, cells=2), (8, 6, 6, 6), (8, 5, 4, 4)),
    Case("wkd_logit", WKDLogit, (8, 5), (8, 5), classes=5, prepares=True),
    Case(
        "wkd_logit_envelope",
        lambda: WKDLogit(gradient="envelope"),
        (8, 5),
        (8, 5),
        classes=5,
        solved=True,
        compile=_SOLVES,
    ),
]
"""Add a row per loss, in alphabetical order of name."""
