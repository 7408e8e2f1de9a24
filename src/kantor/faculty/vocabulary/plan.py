"""A transport plan between two vocabularies: solved on a few pairs a token, kept on disk, and read in words."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from kantor.core.errors import ConfigError, DataError, suggest
from kantor.core.files import read_npz, write_with
from kantor.data.spelling import Spelling
from kantor.faculty.vocabulary.anchors import nearest
from kantor.faculty.vocabulary.rules import same_tokens
from kantor.faculty.vocabulary.strings import HIGHEST, string_pairs
from kantor.faculty.vocabulary.together import Together
from kantor.losses.settings import not_negative, positive
from kantor.losses.vocabulary_map import VocabularyMap
from kantor.losses.vocabulary_transport import PlanCost
from kantor.ot.sparse import Pairs, SparseTransport, on_pairs
from kantor.training.memory import PeakMemory

_FEWEST_SHARE = 1e-4
"""Smaller shares of a token are not carried."""


@dataclass(frozen=True)
class PlanSettings:
    """What a plan is made of.

    Args:
        cost: ``strings`` (how tokens are written, and embeddings where given), ``cooccurrence`` (which tokens come
            together, and no other pairs), or ``both``: the latter, where strings count as ``prior`` observations of
            every token.
        epsilon: regularisation of the strings' plan, whose costs are in [0, 1].
        rho: what mass without a partner costs there, in the same units. (Costs of what comes together are in nats, with
            epsilon 1 and the same ratio of rho to epsilon.)
        prior: how many observations of each token the strings' plan counts for.
        smoothing: what is added to the count of every token, so that those that never came have some mass.
        embeddings: the share of the embeddings' cost, beside the strings'; where embeddings are given.
        neighbours: pairs that embeddings propose for every token.
        partners: of a token that are kept when the plan is used, the largest.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """

    cost: PlanCost = "both"
    epsilon: float = 0.05
    rho: float = 5.0
    prior: float = 2.0
    smoothing: float = 0.1
    embeddings: float = 0.5
    neighbours: int = 8
    partners: int = 32

    def __post_init__(self) -> None:
        if self.cost not in get_args(PlanCost):
            raise ConfigError(f"vocabulary: unknown cost {self.cost!r}. {suggest(str(self.cost), get_args(PlanCost))}")
        positive("vocabulary", epsilon=self.epsilon, rho=self.rho, neighbours=self.neighbours, partners=self.partners)
        not_negative("vocabulary", prior=self.prior, smoothing=self.smoothing, embeddings=self.embeddings)


@dataclass(frozen=True)
class VocabularyPlan:
    """How much mass goes from each of the teacher's tokens to which of the student's."""

    pairs: Pairs
    mass: Float64[np.ndarray, " pairs"]
    a: Float64[np.ndarray, " n"]
    """The teacher's masses: how often each token comes, smoothed."""
    b: Float64[np.ndarray, " m"]
    """The student's."""
    facts: dict[str, Any]
    """Settings, digests of both tokenizers, and what solving took and found."""

    def map(self) -> VocabularyMap:
        """The share of each of the teacher's tokens that goes to each of the student's."""
        sent = np.bincount(self.pairs.rows, self.mass, minlength=len(self.a))
        whole = np.maximum(sent, self.a)[self.pairs.rows]
        shares = self.mass / np.where(whole > 0, whole, 1.0)
        order = np.lexsort((self.pairs.columns, -shares, self.pairs.rows))
        starts = np.searchsorted(self.pairs.rows, np.arange(len(self.a)))
        rank = np.arange(len(order)) - starts[self.pairs.rows[order]]
        largest = np.full(len(self.a), 0.0)
        np.maximum.at(largest, self.pairs.rows, shares)
        kept = (rank < self.facts["settings"]["partners"]) & (
            shares[order] > _FEWEST_SHARE * largest[self.pairs.rows[order]]
        )
        order = np.sort(order[kept])
        rows, shares = self.pairs.rows[order], shares[order]
        whole = np.minimum(sent / np.where(self.a > 0, self.a, 1.0), 1.0)[rows]
        shares = shares * whole / np.bincount(rows, shares, minlength=len(self.a))[rows]
        given = np.flatnonzero(shares > 0)
        return VocabularyMap(
            torch.from_numpy(rows[given]),
            torch.from_numpy(self.pairs.columns[order][given]),
            torch.from_numpy(shares[given]).float(),
            self.pairs.shape,
        )

    def save(self, path: Path) -> None:
        """Keep it as an npz."""
        arrays = {"rows": self.pairs.rows, "columns": self.pairs.columns, "mass": self.mass, "a": self.a, "b": self.b}
        facts = np.frombuffer(json.dumps(self.facts, sort_keys=True).encode(), np.uint8)
        write_with(path, lambda file: np.savez_compressed(file, facts=facts, **arrays))  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path, digests: tuple[str, str] | None = None) -> "VocabularyPlan":
        """As it was kept.

        Args:
            path: of the npz.
            digests: of the teacher's and the student's tokenizer, that it must be of; None takes any.

        Raises:
            DataError: it is damaged, or of other tokenizers.
        """
        remedy = "Delete it: it is solved again."
        arrays = read_npz(path, remedy)
        try:
            facts = json.loads(arrays["facts"].tobytes())
            shape = len(arrays["a"]), len(arrays["b"])
            pairs = Pairs(arrays["rows"], arrays["columns"], shape)
            found = cls(pairs, arrays["mass"], arrays["a"], arrays["b"], facts)
            kept = tuple(facts["digests"])
        except Exception as error:  # whatever a damaged file holds
            raise DataError(f"{path} holds no plan between vocabularies: {error}. {remedy}") from None
        if digests is not None and kept != tuple(digests):
            side = "teacher's" if kept[0] != digests[0] else "student's"
            raise DataError(
                f"{path} is a plan between vocabularies of {shape[0]} and {shape[1]} tokens, and the {side} tokenizer "
                f"is now another. {remedy}"
            )
        return found


def solve_vocabulary(
    teacher: Spelling,
    student: Spelling,
    together: Together | None = None,
    settings: PlanSettings | None = None,
    *,
    embeddings: tuple[Float[Tensor, "teacher_tokens dim"], Float[Tensor, "student_tokens other_dim"]] | None = None,
    digests: tuple[str, str] = ("", ""),
) -> VocabularyPlan:
    """The plan between two vocabularies, or two sets of labels.

    Masses are how often each token begins a span of text that both tokenizers begin (``together``); all alike without
    it. First the strings' plan K: unbalanced transport under how tokens are written (:mod:`.strings`), and how near
    their embeddings are. Then what came together explains itself, as in :mod:`kantor.faculty.inverse`, in closed form:
    with N the counts, ``J_ij = a_i (N_ij + prior K(j | i)) / (N_i + prior)`` is the smoothed joint and
    ``C_ij = -log J_ij / (a_i b_j)``, in nats, the cost under which transport with epsilon 1 gives J; it is solved for
    the masses of both sides. Mass goes over a few pairs a token: those written alike, those that came together, and
    nearest neighbours; no matrix of both vocabularies is formed.

    Args:
        teacher, student: what tokens stand for (:func:`kantor.data.spelling.spelling`), or names of classes as bytes.
            None, for marks, takes no part.
        together: what comes together; None where it is not known, and strings alone count.
        settings: see :class:`PlanSettings`.
        embeddings: of both vocabularies.
        digests: of both tokenizers, for who reads the plan again.

    Raises:
        ConfigError: the cost is to be learned, and nothing is known of what comes together.
        DataError: counts or embeddings are of vocabularies of other sizes, or no token finds a partner.
    """
    settings = settings or PlanSettings()
    if together is None and settings.cost == "cooccurrence":
        raise ConfigError("vocabulary: the cost cooccurrence is learned from text; give what comes together.")
    shape = len(teacher), len(student)
    _check_sizes(shape, together, embeddings)
    began, peak = time.perf_counter(), PeakMemory(torch.device("cpu"))
    a, b = _masses(teacher, student, together, settings.smoothing)
    found: SparseTransport | None = None
    if settings.cost != "cooccurrence":
        pairs, cost = _written(teacher, student, together, settings, embeddings)
        if not len(pairs):
            raise DataError(f"Nothing of {shape[0]} tokens of the teacher's is written like one of {shape[1]}.")
        found = on_pairs(pairs, cost, a, b, epsilon=settings.epsilon, rho=settings.rho, tol=1e-3)
    if together is not None and settings.cost != "strings":
        found = _explained(together, found, a, b, settings)
    assert found is not None
    took = {"seconds": round(time.perf_counter() - began, 3), "peak_mb": round(peak.bytes() / 2**20)}
    facts = {
        "settings": asdict(settings),
        "digests": list(digests),
        "tokens": list(shape),
        "pairs": len(found.pairs),
        "spans": None if together is None else int(together.counts.sum()),
        "sweeps": found.iterations,
        "converged": found.converged,
        "matched": [round(share, 6) for share in found.matched],
        "without_partner": int(((a > 0) & (np.bincount(found.pairs.rows, minlength=shape[0]) == 0)).sum()),
        **took,
    }
    return VocabularyPlan(found.pairs, found.plan, a, b, facts)


def _check_sizes(shape: tuple[int, int], together: Together | None, embeddings: tuple[Tensor, Tensor] | None) -> None:
    given = {"what comes together": None if together is None else together.pairs.shape}
    given["the embeddings"] = None if embeddings is None else (len(embeddings[0]), len(embeddings[1]))
    for what, sizes in given.items():
        if sizes is not None and sizes != shape:
            raise DataError(
                f"The teacher has {shape[0]} tokens and the student {shape[1]}, but {what} is of {sizes[0]} and "
                f"{sizes[1]}. Vocabularies are sometimes padded: cut what is beyond the tokenizer's."
            )


def _masses(
    teacher: Spelling, student: Spelling, together: Together | None, smoothing: float
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " m"]]:
    found = []
    for spelled, counts in (
        (teacher, None if together is None else together.of_teacher),
        (student, None if together is None else together.of_student),
    ):
        there = np.asarray([token is not None for token in spelled])
        mass = there.astype(np.float64) if counts is None else counts + smoothing * there
        found.append(mass / mass.sum())
    return found[0], found[1]


def _written(
    teacher: Spelling,
    student: Spelling,
    together: Together | None,
    settings: PlanSettings,
    embeddings: tuple[Tensor, Tensor] | None,
) -> tuple[Pairs, Float64[np.ndarray, " pairs"]]:
    """Pairs that may take mass, and their costs by strings and embeddings."""
    alike, strings = string_pairs(teacher, student)
    rows, columns = [alike.rows], [alike.columns]
    if together is not None and settings.cost == "both":
        rows, columns = [*rows, together.pairs.rows], [*columns, together.pairs.columns]
    near = None
    if embeddings is not None:
        same = same_tokens(teacher, student)
        near = nearest(*embeddings, (same.rows.numpy(), same.columns.numpy()), settings.neighbours)
        rows, columns = [*rows, near[0]], [*columns, near[1]]
    pairs = Pairs.of(np.concatenate(rows), np.concatenate(columns), alike.shape)
    cost = np.full(len(pairs), HIGHEST)
    cost[pairs.place(alike.rows, alike.columns)] = strings
    if near is not None:
        apart = np.full(len(pairs), HIGHEST)
        apart[pairs.place(near[0], near[1])] = near[2]
        cost = (1 - settings.embeddings) * cost + settings.embeddings * apart
    return pairs, cost


def _explained(
    together: Together, strings: SparseTransport | None, a: np.ndarray, b: np.ndarray, settings: PlanSettings
) -> SparseTransport:
    """Transport under the cost that explains what came together."""
    n = len(a)
    counts, seen = together.counts, together.of_teacher
    if strings is None:
        pairs, joint = together.pairs, a[together.pairs.rows] * counts / seen[together.pairs.rows]
    else:
        pairs = strings.pairs
        sent = np.bincount(pairs.rows, strings.plan, minlength=n)[pairs.rows]
        given = strings.plan / np.where(sent > 0, sent, 1.0)
        number = np.zeros(len(pairs))
        number[pairs.place(together.pairs.rows, together.pairs.columns)] = counts
        total = (seen + settings.prior)[pairs.rows]
        joint = a[pairs.rows] * (number + settings.prior * given) / np.where(total > 0, total, 1.0)
    there = (joint > 0) & (a[pairs.rows] > 0) & (b[pairs.columns] > 0)
    pairs = Pairs(pairs.rows[there], pairs.columns[there], pairs.shape)
    cost = -np.log(joint[there] / (a[pairs.rows] * b[pairs.columns]))
    return on_pairs(pairs, cost, a, b, epsilon=1.0, rho=settings.rho / settings.epsilon, tol=1e-3)
