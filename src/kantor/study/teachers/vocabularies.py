"""Maps between a teacher's tokens and the student's: made at step 0, kept in the run's folder for every process."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Int64

from kantor.core.collectives import rank
from kantor.core.errors import ConfigError, DataError, KantorError
from kantor.core.files import read_npz, write_with
from kantor.core.reading import DAMAGED
from kantor.data import DataSet
from kantor.data.spelling import spelling
from kantor.data.tokenised import Tokenised
from kantor.data.tokenizer import same_tokens as one_tokenizer
from kantor.faculty.vocabulary import (
    PlanSettings,
    VocabularyPlan,
    of_stores,
    same_tokens,
    solve_vocabulary,
    string_rules,
)
from kantor.faculty.vocabulary.show import examples, lines, summary
from kantor.losses.mapped import MappedLoss
from kantor.losses.vocabulary_map import VocabularyMap
from kantor.objective import Term
from kantor.study.settings.resolved import ResolvedStudy

_FILE = "vocabulary-maps.npz"
_PLAN = "plan-"
Say = Callable[[str], None]
Maps = Mapping[str, VocabularyMap]
"""By teacher and kind (:attr:`kantor.losses.mapped.MappedLoss.map_kind`), as ``big/strings``."""
NO_MAPS: Maps = MappingProxyType({})


@dataclass(frozen=True)
class _Between:
    """What a map is made of."""

    name: str
    teacher: Tokenised
    student: Tokenised
    rows: Int64[np.ndarray, " n"]
    """The training samples, of those that the stores hold."""

    @property
    def digests(self) -> tuple[str, str]:
        return self.teacher.tokenizer.digest, self.student.tokenizer.digest


def vocabulary_maps_for(
    study: ResolvedStudy, data: DataSet, run: Path, say: Say
) -> tuple[dict[str, VocabularyMap], dict[str, str]]:
    """The maps that methods need; and which methods are left out, and why, where theirs cannot be made.

    A plan that the run's folder holds already is taken from there.

    Args:
        study: what is to be done.
        data: its data; plans are learned from the training part.
        run: its folder.
        say: told what was found.

    Raises:
        ConfigError, DataError: one cannot be made, and nothing is to be left out; or a plan that is kept is of other
            tokenizers.
    """
    maps: dict[str, VocabularyMap] = {}
    without: dict[str, str] = {}
    for method in study.methods:
        try:
            for loss, teacher in _needing(method.terms, study.teachers):
                if (key := f"{teacher}/{loss.map_kind}") not in maps:
                    maps[key] = _made(_sides(loss, teacher, data), loss.map_kind, run, say)
        except (ConfigError, DataError) as error:
            if study.settings.unfit == "refuse":
                raise
            without[method.name] = str(error)
    if maps and rank() == 0:
        _write(run, maps)
    return maps, without


def hand_maps_over(terms: Iterable[Term], maps: Maps, teachers: Iterable[str]) -> None:
    """Give every term that needs one the map from its teacher's tokens."""
    for loss, teacher in _needing(terms, teachers):
        if found := maps.get(f"{teacher}/{loss.map_kind}"):
            loss.use(found)


def read_maps(run: Path) -> dict[str, VocabularyMap]:
    """As they were kept; none where the study needs none.

    Raises:
        DataError: they are damaged.
    """
    if not (run / _FILE).exists():
        return {}
    arrays = read_npz(run / _FILE, DAMAGED)
    try:
        return {
            key.removesuffix("/shape"): _read(arrays, key.removesuffix("/shape"))
            for key in arrays
            if key.endswith("/shape")
        }
    except (KeyError, TypeError, ValueError, IndexError, KantorError) as error:
        raise DataError(f"{run / _FILE} holds no maps between vocabularies: {error}. {DAMAGED}") from None


def _read(arrays: Mapping[str, np.ndarray], key: str) -> VocabularyMap:
    rows, columns, shares = (torch.from_numpy(arrays[f"{key}/{part}"]) for part in ("rows", "columns", "shares"))
    n, m = arrays[f"{key}/shape"].tolist()
    return VocabularyMap(rows, columns, shares, (n, m))


def _write(run: Path, maps: Maps) -> None:
    arrays = {}
    for key, found in maps.items():
        arrays |= {f"{key}/{part}": getattr(found, part).numpy() for part in ("rows", "columns", "shares")}
        arrays[f"{key}/shape"] = np.asarray(found.shape)
    write_with(run / _FILE, lambda file: np.savez(file, **arrays))


def _needing(terms: Iterable[Term], teachers: Iterable[str]) -> Iterator[tuple[MappedLoss, str]]:
    """The losses that are given a map, each with its teacher's name."""
    only = list(teachers)
    for term in terms:
        if isinstance(term.loss, MappedLoss) and only:
            layer = term.teacher if isinstance(term.teacher, str) or term.teacher is None else term.teacher[0]
            yield term.loss, only[0] if layer is None or ":" not in layer else layer.partition(":")[0]


def _sides(loss: MappedLoss, teacher: str, data: DataSet) -> _Between:
    """Both sides' texts, as each sees them.

    Raises:
        ConfigError: they are no texts, or both have the same tokens.
    """
    theirs, ours = (data.train.stores.get(role) for role in (data.role_of(teacher), "student"))
    if not (isinstance(theirs, Tokenised) and isinstance(ours, Tokenised)):
        raise ConfigError(
            f"{loss.name} compares what two language models say of one text, and {data.name} holds no text that both "
            "see. Take another method, or give text and --task next_token."
        )
    if one_tokenizer(theirs.tokenizer, ours.tokenizer):
        raise ConfigError(
            f"{loss.name} is between two vocabularies; teacher {teacher} ({theirs.tokenizer.origin}) and the student "
            f"({ours.tokenizer.origin}) have the same tokens. Use kd, or give the student others: --tokenizer bpe:4000."
        )
    return _Between(teacher, theirs, ours, data.train.rows)


def _made(between: _Between, kind: str, run: Path, say: Say) -> VocabularyMap:
    theirs, student = spelling(between.teacher.tokenizer), between.student.tokenizer
    if kind == "strings":
        return string_rules(theirs, student)
    if kind == "same":
        found = same_tokens(theirs, spelling(student))
        say(f"{len(found.rows):,} tokens of teacher {between.name} are the student's too.")
        return found
    plan = _plan(between, kind.removeprefix(_PLAN), run)
    said = lines(examples(plan, theirs, spelling(student)))
    say("\n  ".join([summary(plan, (f"teacher {between.name}", "the student")), *said]))
    return plan.map()


def _plan(between: _Between, cost: str, run: Path) -> VocabularyPlan:
    path = run / "vocabulary" / f"{between.name}-{cost}.npz"
    if path.is_file():
        return VocabularyPlan.load(path, between.digests)
    together = of_stores(between.teacher, between.student, between.rows)
    spelled = spelling(between.teacher.tokenizer), spelling(between.student.tokenizer)
    settings = PlanSettings(cost=cost)  # type: ignore[arg-type]
    plan = solve_vocabulary(*spelled, together, settings, digests=between.digests)
    if rank() == 0:
        path.parent.mkdir(exist_ok=True)
        plan.save(path)
    return plan
