"""What turns texts into the tokens that each model sees: its own tokenizer, or one for those that bring none."""

from collections.abc import Collection, Mapping
from pathlib import Path

from kantor.core.errors import ConfigError
from kantor.core.files import write_json
from kantor.core.reading import read_json
from kantor.data import DataSet
from kantor.data.tokenizer import KnownTokenizer, Learned, Tokenizer, longest_of, same_tokens
from kantor.data.views import ROLES
from kantor.models.own_tokenizer import limit_of, own_tokenizer, read_tokenizer

AUTO = "auto"
_LEARNED = "bpe:"
_SIZE = 4000
"""Tokens that are learned where nobody says how many."""
_FILE = "tokenizers.json"
"""Of a run's folder: every role's tokenizer, so that the run can be used without what it came from."""

Tokens = Tokenizer | Learned


def tokenizers_for(
    student: str, teachers: Mapping[str, str], asked: str, longest: int | None, roles: Collection[str] | None
) -> dict[str, Tokens]:
    """By role, what its texts become tokens by.

    Args:
        student: the student's model.
        teachers: the teachers', by name.
        asked: of models that bring none: ``auto``, ``bpe:SIZE``, a ``tokenizer.json`` or the folder of one.
        longest: tokens that texts are cut to; None for what each model takes, at most 128.
        roles: who sees views of their own; None where all teachers see the same.

    Raises:
        ConfigError: a tokenizer that is missing, or asked for where every model has its own; teachers that differ in
            theirs where the student has none.
    """
    own = {name: own_tokenizer(spec, longest) for name, spec in teachers.items()}
    students = own_tokenizer(student, longest)
    lacking = [
        spec for spec, found in [(student, students), *zip(teachers.values(), own.values(), strict=True)] if not found
    ]
    if asked != AUTO and not lacking:
        raise ConfigError(
            f"tokenizer {asked} is for models that bring none, and {', '.join([student, *teachers.values()])} each "
            "bring their own: leave it out."
        )
    other: Tokens | None = None
    if lacking:
        limits = [limit for spec in lacking if (limit := limit_of(spec)) is not None]
        other = _other(asked, [found for found in own.values() if found], longest, min(limits, default=None))
    named = {name: found or other for name, found in own.items()}
    seen: dict[str, Tokens | None] = {"student": students or other}
    distinct = list(dict.fromkeys(named.values()))
    if len(distinct) < 2 and (roles is None or "teacher" in roles):
        seen["teacher"] = distinct[0] if distinct else seen["student"]
    else:
        for name in named:
            if name in ROLES:
                raise ConfigError(f"A teacher is called {name!r}, and so is a role: rename its file.")
        seen |= named
    return {role: found for role, found in seen.items() if found is not None}


def _other(asked: str, teachers: list[Tokenizer], longest: int | None, limit: int | None) -> Tokens:
    """The tokenizer of models that bring none."""
    if asked == AUTO and teachers:
        if not all(same_tokens(teachers[0], found) for found in teachers[1:]):
            origins = ", ".join(dict.fromkeys(found.origin for found in teachers))
            raise ConfigError(
                f"The teachers differ in their tokenizers ({origins}), and a model has none: say which it uses, as "
                f"--tokenizer {teachers[0].origin}, or --tokenizer bpe:{_SIZE}."
            )
        of = teachers[0]
        cut = of.longest if limit is None else min(of.longest, limit)
        return Tokenizer(of.content, longest_of(longest, limit, "the model") if longest else cut, of.padding, of.origin)
    if asked == AUTO or asked.startswith(_LEARNED):
        size = str(_SIZE) if asked == AUTO else asked.removeprefix(_LEARNED)
        if not size.isdigit():
            raise ConfigError(f"tokenizer is bpe:SIZE with a number of tokens, as bpe:{_SIZE}, not {asked!r}.")
        return Learned(int(size), longest_of(longest, limit, "the model"))
    found = read_tokenizer(Path(asked), longest)
    return Tokenizer(found.content, longest_of(longest, limit, "the model"), found.padding, found.origin)


def keep_tokenizers(run: Path, data: DataSet) -> None:
    """Keep what the data's texts became tokens by in the run's folder; nothing of other data."""
    if data.train.tokenizers and not (run / _FILE).exists():
        write_json(run / _FILE, {role: found.facts() for role, found in data.train.tokenizers.items()})


def kept_tokenizers(run: Path | None) -> dict[str, Tokens] | None:
    """What a run keeps; None where it keeps nothing.

    Raises:
        DataError: it is damaged.
    """
    if run is None or not (run / _FILE).is_file():
        return None
    facts = read_json(
        run / _FILE, dict[str, KnownTokenizer], "Bring it back from a copy, or begin another run by --out."
    )
    return {role: Tokenizer.read(known) for role, known in facts.items()}
