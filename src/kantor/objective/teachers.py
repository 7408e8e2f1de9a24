"""Where a teacher's outputs come from: a network run now, or a cache filled before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kantor.capture import read as read_layers
from kantor.capture.positions import TOKENS, LayerOutput
from kantor.core.errors import ConfigError, suggest
from kantor.core.inputs import Inputs, device_of, finite_rows
from kantor.data import Batch, TeacherCache
from kantor.data.views import ROLES, role_of
from kantor.losses.features import pool_without_padding
from kantor.losses.top_logits import cut, restored
from kantor.objective.classes import class_names


@dataclass(frozen=True)
class Read:
    """One output that a loss wants of a teacher."""

    layer: str
    """Module path, ``logits`` or ``penultimate``."""
    pooled: bool = False
    """Only its mean over positions is wanted, padding left out."""

    @property
    def key(self) -> str:
        """How a cache names it."""
        return f"{self.layer}.mean" if self.pooled else self.layer


class Teacher(Protocol):
    """Anything that gives a teacher's outputs for a batch."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """For the step-0 print: ``parameters``, ``classes`` (names or number), ``mode``, ``source``."""
        ...

    def outputs(self, batch: Batch, reads: Sequence[Read]) -> dict[Read, Float[Tensor, "batch ..."]]:
        """The wanted outputs, detached, on the batch's device."""
        ...


KEYED_BY = "cached, keyed by sample id, view, teacher weights, preprocess and layer"


class LiveTeacher:
    """A teacher network that is run on every batch: in eval mode, without gradients, its parameters frozen.

    It runs in its own precision, also where the student trains under autocast: what it says is what a cache would keep.

    Args:
        network: the teacher.
        source: what the step-0 print says of where its outputs come from.
        name: what it is called, where teachers see different things.
        top: of logits per token, how many are known of each (:mod:`kantor.losses.top_logits`), in half precision as a
            cache keeps them; all of them if left out.

    Raises:
        ConfigError: its lazy layers have no weights yet.
    """

    def __init__(
        self, network: nn.Module, source: str = "run on every batch", name: str = "teacher", top: int | None = None
    ) -> None:
        unmade = next((key for key, p in network.named_parameters() if nn.parameter.is_lazy(p)), None)
        if unmade is not None:
            raise ConfigError(
                f"Teacher {name} has no {unmade} yet, a lazy layer's: run it on a batch, or load weights."
            )
        self.network = network.eval().requires_grad_(False)
        self.name, self.top = name, top
        self.facts = {
            "parameters": sum(p.numel() for p in network.parameters()),
            "classes": class_names(network),
            "mode": "frozen, eval",
            "source": source,
        }

    def sees(self, batch: Batch) -> Inputs:
        """What the batch shows this teacher.

        Raises:
            ConfigError: the batch shows every teacher its own, and none to this one.
        """
        role = role_of(self.name, batch.inputs)
        if role not in batch.inputs:
            others = [other for other in batch.inputs if other not in ROLES]
            raise ConfigError(f"The batch has no view for teacher {self.name!r}. {suggest(self.name, others)}")
        return batch.inputs[role]

    def outputs(self, batch: Batch, reads: Sequence[Read]) -> dict[Read, Tensor]:
        """Run the network once and read the layers.

        Raises:
            ConfigError: the batch has no view for this teacher; or no more tokens are known than are to be kept.
        """
        found = self.taken(batch, reads)
        for read, x in found.items():
            if self._is_cut(read, x):
                said, tokens = self._cut(x, batch)
                found[read] = restored(said.half(), tokens, x.shape[-1])
        return found

    def kept(self, batch: Batch, reads: Sequence[Read]) -> dict[str, Tensor]:
        """What a cache keeps of the outputs, by its key: of logits of which the likeliest are known, two arrays."""
        kept = {}
        for read, x in self.taken(batch, reads).items():
            if self._is_cut(read, x):
                kept |= dict(zip(top_keys(read), self._cut(x, batch), strict=True))
            else:
                kept[read.key] = x
        return kept

    def _is_cut(self, read: Read, x: Tensor) -> bool:
        return self.top is not None and read.layer == "logits" and x.ndim == 3

    def _cut(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        assert self.top is not None
        seen = self.sees(batch)
        return cut(logits, None if isinstance(seen, Tensor) else seen.get(TOKENS), self.top)

    @torch.no_grad()
    def taken(self, batch: Batch, reads: Sequence[Read]) -> dict[Read, Tensor]:
        """The layers as the network gives them."""
        inputs = self.sees(batch)
        device = device_of(inputs)
        # The objective keeps teachers out of modules(), so its own .to() does not move them.
        if next((p.device for p in self.network.parameters()), device) != device:
            self.network.to(device)
        # A user's train() on the network, or on a part of it, would move its running statistics.
        if any(module.training for module in self.network.modules()):
            self.network.eval()
        with torch.autocast(device.type, enabled=False):
            _, taken = read_layers(self.network, inputs, [read.layer for read in reads], name=f"teacher {self.name}")
            found = {
                read: pool_without_padding(x, inputs, read.layer, batch.masks) if read.pooled else x
                for read in reads
                for x in (taken[read.layer],)
            }
        # A network that runs in inference mode gives what no gradient may be computed beside.
        return {read: x.clone() if x.is_inference() else x for read, x in found.items()}


def top_keys(read: Read) -> tuple[str, str]:
    """How a cache names the two arrays that are kept of logits: log probabilities, and whose they are."""
    return f"{read.key}.top", f"{read.key}.top.tokens"


class CachedTeacher:
    """A teacher whose outputs were computed before; needs no network, and no memory for one.

    Args:
        cache: its outputs.
        facts: see :class:`Teacher`.
        name: what it is called, where teachers see different things.
    """

    def __init__(self, cache: TeacherCache, facts: Mapping[str, Any], name: str = "teacher") -> None:
        self._cache, self._name = cache, name
        self.facts = {**facts, "source": KEYED_BY}

    def outputs(self, batch: Batch, reads: Sequence[Read]) -> dict[Read, Tensor]:
        """Read the rows of the batch's ids and views.

        Raises:
            KeyError: such an output is not kept.
        """
        assert batch.ids is not None
        device = batch.ids.device
        # Of what is kept for other methods nothing is read.
        wanted = [key for read in reads for key in self._keys(read)]
        rows = self._cache.lookup(batch.ids, batch.views, dict.fromkeys(wanted))
        there = {key: x.to(device, non_blocking=True) for key, x in rows.items()}
        return {read: there[read.key] if read.key in there else self._top(read, there, batch) for read in reads}

    def _keys(self, read: Read) -> tuple[str, ...]:
        """What is kept of an output."""
        return (read.key,) if read.key in self._cache.layers or read.layer != "logits" else top_keys(read)

    def _top(self, read: Read, rows: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Logits of which the likeliest are known, of as many tokens as the batch has."""
        said, tokens = (rows[key] for key in top_keys(read))
        seen = batch.inputs[role_of(self._name, batch.inputs)]
        assert not isinstance(seen, Tensor)
        said, tokens = (x[:, : seen[TOKENS].shape[1]] for x in (said, tokens))
        vocabulary = self.facts["classes"]
        return restored(said, tokens, vocabulary if isinstance(vocabulary, int) else len(vocabulary))


def faults(outputs: Mapping[tuple[str, Read], LayerOutput], ids: Tensor | None) -> list[str]:
    """Sentences that name each teacher's layer that is not finite, and for which samples; empty where all is well.

    Args:
        outputs: by teacher and read.
        ids: of the samples.
    """
    found = []
    for (name, read), output in outputs.items():
        rows = ~finite_rows(output.values)
        if rows.any():
            found.append(f"Teacher {name}'s {read.layer} is not finite, for sample ids {some_ids(ids, rows)}.")
    return found


def some_ids(ids: Tensor | None, rows: Bool[Tensor, " batch"]) -> str:
    """The first ids of some rows, as they are said; positions in the batch where there are no ids."""
    named = rows.nonzero().flatten() if ids is None else ids.to(rows.device)[rows]
    return f"{named[:16].tolist()}{' ...' if len(named) > 16 else ''}"
