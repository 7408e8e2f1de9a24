"""Multi-Level OT: token and sequence transport across vocabularies (Cui et al., AAAI 2025, arXiv 2412.14528)."""

from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from kantor import ot
from kantor.core.collectives import gather_rows, sum_over_ranks, world_size
from kantor.core.errors import ConfigError, suggest
from kantor.losses.precision import transfer
from kantor.losses.recorded import TOL, Gradient, check_kernel, recorded_cost
from kantor.losses.sequences import aligned, all_tokens, check_lengths, check_sequences, same_width, within
from kantor.losses.settings import positive
from kantor.losses.token_loss import TokenLoss

Matching = Literal["sorted", "greedy"]


@transfer
def multilevel_ot(
    student: Float[Tensor, "batch tokens vocabulary"],
    teacher: Float[Tensor, "batch teacher_tokens teacher_vocabulary"],
    student_lengths: Int[Tensor, " batch"] | None = None,
    teacher_lengths: Int[Tensor, " batch"] | None = None,
    *,
    top: int = 50,
    matching: Matching = "sorted",
    epsilon: float = 0.1,
    sweeps: int = 10,
    gradient: Gradient = "recorded",
) -> Float[Tensor, ""]:
    """``token + .1 * cross_entropy + .1 * sequence``, over the teacher's likeliest tokens.

    p are probabilities of logits divided by their standard deviation over the vocabulary (+ 1e-4). The vocabulary is
    put in falling order of probability summed over all tokens of the batch, each side in its own, and cut to ``top``.
    With those ``p_s`` and ``p_t``:

    - token: mean over samples and their tokens of ``sum |p_s - p_t|``;
    - cross_entropy: mean over all positions of ``-sum softmax(p_s) log softmax(p_t)``;
    - sequence: ``.001 * sum over samples of <P, C>``, P of mass 1 a token between the teacher's and the student's
      tokens, C the L1 distance between ``softmax(p / 2)``, from 10 recorded Sinkhorn sweeps.

    The public code is followed, where it departs from the paper too: the last two terms take a softmax of
    probabilities, the cross-entropy has student and teacher in these places, positions after an answer's end count as
    zeros in both, and the sequence term is summed over samples while the others are means. Its greedy matching is not:
    it takes the number of tokens for that of the vocabulary, and leaves most columns zero.

    Args:
        student: logits, the answer's first.
        teacher: logits, of any vocabulary and number of tokens.
        student_lengths: tokens of each answer; all where left out.
        teacher_lengths: the same for the teacher.
        top: how many tokens of the vocabulary take part.
        matching: ``sorted``, or ``greedy``: each of the teacher's tokens in turn takes the student's nearest column
            (L1 over positions) that is left, sample by sample.
        epsilon: of the sequence term; costs are in [0, 2].
        sweeps: recorded alternations of row and column scaling.
        gradient: ``recorded``, or ``envelope``: the sequence term is then the converged regularised minimum times
            the number of tokens, whose gradient is exact.

    Returns:
        Of the global batch.

    Raises:
        ShapeError: these are no logits per token of the same samples.
    """
    check_sequences("multilevel_ot", (student.shape,), (teacher.shape,))
    check_lengths("multilevel_ot", student, student_lengths)
    check_lengths("multilevel_ot", teacher, teacher_lengths)
    s_lengths = all_tokens(student) if student_lengths is None else student_lengths
    t_lengths = all_tokens(teacher) if teacher_lengths is None else teacher_lengths
    longest = int(gather_rows(torch.maximum(s_lengths.max(), t_lengths.max()).view(1)).max())
    p_s, p_t = _probabilities(student, s_lengths, longest), _probabilities(teacher, t_lengths, longest)
    p_t = _likeliest(p_t, top)
    p_s = _likeliest(p_s, top) if matching == "sorted" else _greedy(p_t, p_s)
    p_s, p_t = same_width(p_s, p_t)

    lengths = torch.minimum(s_lengths, t_lengths)
    apart = (p_s - p_t).abs().sum(-1) * within(lengths, longest)
    token = (apart.sum(1) / lengths.clamp_min(1)).mean()
    cross_entropy = -(p_s.softmax(-1) * p_t.log_softmax(-1)).sum(-1).mean()
    cost = ot.cost((p_t / 2.0).softmax(-1), (p_s / 2.0).softmax(-1), "l1")
    if gradient == "envelope":
        transported = longest * ot.solve(cost, epsilon=epsilon, tol=TOL).value
    else:
        ones = cost.new_ones(cost.shape[:2])
        transported = recorded_cost(cost, ones, ones, epsilon=epsilon, sweeps=sweeps)
    means = sum_over_ranks(token + 0.1 * cross_entropy) / world_size()
    return means + 0.1 * 1e-3 * sum_over_ranks(transported.sum())


def _probabilities(logits: Tensor, lengths: Tensor, longest: int) -> Float[Tensor, "batch longest vocabulary"]:
    """Of scaled logits; zero after an answer's end, up to the batch's longest."""
    logits = F.pad(logits[:, :longest], (0, 0, 0, max(longest - logits.shape[1], 0)))
    scaled = logits / (logits.std(-1, keepdim=True) + 1e-4)
    return scaled.softmax(-1) * within(lengths, longest).unsqueeze(2)


def _likeliest(p: Tensor, top: int) -> Float[Tensor, "batch tokens kept"]:
    order = sum_over_ranks(p.detach().sum((0, 1))).argsort(descending=True)
    return p[:, :, order[:top]]


@torch.no_grad()
def _nearest_columns(p_t: Tensor, p_s: Tensor) -> Int[Tensor, "batch kept"]:
    taken = torch.zeros(p_s.shape[0], p_s.shape[2], dtype=torch.bool, device=p_s.device)
    columns = []
    for k in range(min(p_t.shape[2], p_s.shape[2])):
        apart = (p_t[:, :, k : k + 1] - p_s).abs().sum(1).masked_fill(taken, torch.inf)
        nearest = apart.argmin(1, keepdim=True)
        taken.scatter_(1, nearest, True)
        columns.append(nearest)
    return torch.cat(columns, dim=1)


def _greedy(p_t: Tensor, p_s: Tensor) -> Float[Tensor, "batch tokens kept"]:
    columns = _nearest_columns(p_t, p_s)
    return p_s.gather(2, columns.unsqueeze(1).expand(-1, p_s.shape[1], -1))


class MultiLevelOT(TokenLoss):
    """:func:`multilevel_ot`. The weight 1.5 is the public code's.

    ``targets`` as labels per token with -100 mark the answer; see :func:`~kantor.losses.sequences.aligned`.

    Args:
        top, matching, epsilon, sweeps, gradient: see :func:`multilevel_ot`.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """

    name: ClassVar = "multilevel_ot"
    paper: ClassVar = "arXiv 2412.14528"
    default_weight: ClassVar = 1.5
    by_number = True

    def __init__(
        self,
        top: int = 50,
        matching: Matching = "sorted",
        epsilon: float = 0.1,
        sweeps: int = 10,
        gradient: Gradient = "recorded",
    ) -> None:
        super().__init__()
        positive(self.name, top=top)
        for setting, value, known in (("matching", matching, Matching), ("gradient", gradient, Gradient)):
            if value not in get_args(known):
                raise ConfigError(f"multilevel_ot: unknown {setting} {value!r}. {suggest(str(value), get_args(known))}")
        check_kernel(self.name, epsilon, sweeps, highest=2.0)
        self.top = top
        self.matching: Matching = matching
        self.epsilon = epsilon
        self.sweeps = sweeps
        self.gradient: Gradient = gradient

    def compared(self, student, teacher, spans, targets, masks) -> Tensor:
        """See :func:`multilevel_ot`. Tokens are compared by their number, also where spans are known, as published."""
        marked = None if spans is not None else targets  # labels are the student's tokens alone
        return multilevel_ot(*aligned(self.name, student, teacher, marked, masks), **self.settings())

    def settings(self) -> dict[str, Any]:
        """Size and matching of the vocabulary, regularisation, sweeps and gradient."""
        return {
            "top": self.top,
            "matching": self.matching,
            "epsilon": self.epsilon,
            "sweeps": self.sweeps,
            "gradient": self.gradient,
        }
