"""Where each token of one vocabulary goes in another: a sparse matrix of shares."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from kantor.core.errors import NonFiniteError, ShapeError


@dataclass(frozen=True, eq=False)
class VocabularyMap:
    """Shares of the teacher's tokens among the student's: token ``rows[k]`` gives ``shares[k]`` to ``columns[k]``.

    What a token does not give away finds no partner.

    Args:
        rows: the teacher's tokens, ascending.
        columns: the student's.
        shares: more than 0; those of one token sum to at most 1.
        shape: the sizes of the teacher's and of the student's vocabulary.

    Raises:
        ShapeError: tokens are not of these vocabularies, or not in order.
        NonFiniteError: a share is not positive, or a token gives away more than it has.
    """

    rows: Int64[Tensor, " entries"]
    columns: Int64[Tensor, " entries"]
    shares: Float[Tensor, " entries"]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        n, m = self.shape
        fits = len(self.rows) == len(self.columns) == len(self.shares)
        if not fits or (
            len(self.rows)
            and (
                int(self.rows.min()) < 0
                or int(self.rows.max()) >= n
                or int(self.columns.min()) < 0
                or int(self.columns.max()) >= m
                or bool((self.rows.diff() < 0).any())
            )
        ):
            raise ShapeError(
                f"A map between vocabularies of {n} and {m} tokens has entries in the teacher's order, each with its "
                f"share; these {len(self.rows)} are others."
            )
        if not (bool((self.shares > 0).all()) and bool((self.given <= 1 + 1e-5).all())):
            raise NonFiniteError("The shares of a token are more than 0, and sum to at most 1.")

    @cached_property
    def given(self) -> Float[Tensor, " teacher_tokens"]:
        """How much of each teacher's token finds a partner."""
        return torch.zeros(self.shape[0], dtype=self.shares.dtype).index_add_(0, self.rows, self.shares)

    def to(self, device: torch.device, dtype: torch.dtype) -> "VocabularyMap":
        """The same there; itself where it is there already."""
        if self.shares.device == device and self.shares.dtype == dtype:
            return self
        kept = self.__dict__.setdefault("_elsewhere", {})
        if (device, dtype) not in kept:
            kept[device, dtype] = _unchecked(
                self.rows.to(device), self.columns.to(device), self.shares.to(device, dtype), self.shape
            )
        return kept[device, dtype]

    def carried(
        self, p: Float[Tensor, "rows teacher_tokens"], top: int | None = None
    ) -> Float[Tensor, "rows student_tokens"]:
        """Probabilities of the teacher's tokens as those of the student's. What finds no partner is lost.

        Args:
            p: not negative.
            top: take only so many of the likeliest; all where left out.
        """
        here = self.to(p.device, p.dtype)
        if top is None or top >= p.shape[1]:
            return torch.sparse.mm(here._transposed, p.T).T
        return here._spread(*p.topk(top, dim=1))

    def carried_above(
        self, p: Float[Tensor, "rows top"], tokens: Int64[Tensor, "rows top"], other: Float[Tensor, "rows 1"]
    ) -> Float[Tensor, "rows student_tokens"]:
        """:meth:`carried` of probabilities that are ``p`` for some tokens and ``other`` for each of the rest."""
        here = self.to(p.device, p.dtype)
        return other * here._received + here._spread(p - other, tokens)

    def _spread(
        self, p: Float[Tensor, "rows top"], tokens: Int64[Tensor, "rows top"]
    ) -> Float[Tensor, "rows student_tokens"]:
        """What tokens of the teacher's give. Those beyond the map, by which a vocabulary is padded, give nothing."""
        starts, tokens = self._starts, tokens.clamp_max(self.shape[0])
        counts = (starts[tokens + 1] - starts[tokens]).flatten()
        begin = (starts[tokens].flatten() - counts.cumsum(0) + counts).repeat_interleave(counts)
        entry = begin + torch.arange(len(begin), device=p.device)
        row = torch.arange(len(p), device=p.device).repeat_interleave(counts.view(len(p), -1).sum(1))
        mass = p.flatten().repeat_interleave(counts) * self.shares[entry]
        place = row * self.shape[1] + self.columns[entry]
        return p.new_zeros(len(p) * self.shape[1]).index_add_(0, place, mass).view(len(p), -1)

    @cached_property
    def _received(self) -> Float[Tensor, " student_tokens"]:
        """What each of the student's tokens gets where every token of the teacher's gives all of its shares."""
        return self.shares.new_zeros(self.shape[1]).index_add_(0, self.columns, self.shares)

    @cached_property
    def _transposed(self) -> Tensor:
        index = torch.stack([self.columns, self.rows])
        return torch.sparse_coo_tensor(index, self.shares, self.shape[::-1], check_invariants=True).coalesce()

    @cached_property
    def _starts(self) -> Int64[Tensor, " teacher_tokens_and_two"]:
        return torch.searchsorted(self.rows, torch.arange(self.shape[0] + 2, device=self.rows.device))


def _unchecked(rows: Tensor, columns: Tensor, shares: Tensor, shape: tuple[int, int]) -> VocabularyMap:
    """Without the checks, which another place or precision would only repeat."""
    made = object.__new__(VocabularyMap)
    made.__dict__.update(rows=rows, columns=columns, shares=shares, shape=shape)
    return made
