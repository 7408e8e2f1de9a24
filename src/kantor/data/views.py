"""What each role sees of an instance: one of the data's inputs (array, column, image), or a transform of it."""

import hashlib
from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from torch import Tensor

from kantor.core.errors import ConfigError, suggest
from kantor.data.store import Store
from kantor.data.texts import Texts
from kantor.data.tokenised import Tokenised
from kantor.data.tokenizer import Learned, Tokenizer
from kantor.data.transforms import TRANSFORMS, Transform, transform, written

ROLES = ("student", "teacher")
"""Who sees something. Where teachers see different things, each is a role by its name in the place of ``teacher``."""
COMPARED = ("model_a", "model_b")
"""Roles of two models that are compared on views of their own."""


def role_of(teacher: str, roles: Container[str]) -> str:
    """The role that a teacher reads: ``teacher`` where all teachers see the same, its own name where they do not.

    Args:
        teacher: its name.
        roles: those of the data's training part, or of a batch of it.
    """
    return "teacher" if "teacher" in roles else teacher


@dataclass(frozen=True)
class View:
    """One role's view."""

    input: str
    """Of the data: an array, a column, or ``image``."""
    transform: Transform | None = None
    """None takes the input as it is."""
    tokens: Tokenizer | Learned | None = None
    """What turns texts into tokens."""

    def __str__(self) -> str:
        if self.tokens is not None:
            return f"{self.input} as {self.tokens}"
        return self.input if self.transform is None else f"{written(self.transform)} of {self.input}"


def written_views(given: str | Mapping[str, str]) -> dict[str, str]:
    """``teacher=NAME,student=NAME`` as a mapping.

    Raises:
        ConfigError: it is not of that form, or says twice what one sees.
    """
    items = [pair.partition("=")[::2] for pair in given.split(",")] if isinstance(given, str) else [*given.items()]
    by_role = {role.strip(): name.strip() for role, name in items}
    if len(by_role) < len(items) or not all(by_role) or not all(by_role.values()):
        raise ConfigError(
            f"views is written teacher=NAME,student=NAME, or with other names of who sees them, not {given!r}."
        )
    return by_role


class Seen:
    """A store through a transform."""

    def __init__(self, store: Store, transform: Transform, ids: Int64[np.ndarray, " n"]):
        self.store, self.transform, self.ids = store, transform, ids
        self.shape, self.on_demand = transform.shape(store.shape), store.on_demand

    def read(self, rows: Int64[np.ndarray, " batch"]) -> Float32[Tensor, "batch c h w"]:
        """The views at ``rows``."""
        return self.of(self.store.read(rows), rows)

    def of(self, images: Float32[Tensor, "batch c h w"], rows: Int64[np.ndarray, " batch"]) -> Float32[Tensor, "..."]:
        """The views of ``images``, which were read at ``rows``."""
        return self.transform(images, self.ids[rows])

    def digest(self, rows: Int64[np.ndarray, " n"]) -> str:
        """SHA-256 of the transform, its settings, and what it is made of."""
        return hashlib.sha256(f"{self.transform!r} {self.store.digest(rows)}".encode()).hexdigest()


def same_view(inputs: Mapping[str, str], where: str) -> dict[str, View]:
    """Both roles see the data's only input.

    Raises:
        ConfigError: there are several.
    """
    if len(inputs) > 1:
        first, second, *_ = inputs
        raise ConfigError(
            f"{where} has several views: {', '.join(f'{name} {shape}' for name, shape in inputs.items())}. "
            f"Say which is seen: --view {first} where all models see one; --views teacher={second},student={first} in "
            f"kantor distill and finetune, --views model_a={second},model_b={first} in kantor compare."
        )
    return dict.fromkeys(ROLES, View(next(iter(inputs))))


def choose_views(views: Mapping[str, str] | None, inputs: Mapping[str, str], where: str) -> dict[str, View]:
    """The view of each role: the student's, and one that all teachers see or one for each of them by its name.

    Where teachers are named, the student may be left out: then they alone look.

    ``NAME`` is an input of the data; where it has none of that name, a transform, ``NAME[@setting=value]...``, of its
    only input or of the one that ``@of=INPUT`` names.

    Args:
        views: as the user wrote them, by role; None for the only input.
        inputs: what the data has: names, and shapes for messages.
        where: the data, for messages.

    Raises:
        ConfigError: a role without a view, a view for all teachers beside one for a single one, a name that is neither
            input nor transform, a setting that the transform has not.
    """
    if views is None:
        return same_view(inputs, where)
    named = [role for role in views if role not in ROLES]
    for role in ROLES if not named else ():
        if role not in views:
            raise ConfigError(f"The views {dict(views)} name none for the {role}. There are: {', '.join(inputs)}.")
    if named and "teacher" in views:
        raise ConfigError(
            f"The views {dict(views)} name one for every teacher and one for {', '.join(named)}: name each teacher's."
        )
    return {role: _view(role, text, inputs, where) for role, text in views.items()}


def in_words(role: str) -> str:
    """A role in a sentence: ``the student``, ``teacher mri``, ``model_a``."""
    return f"the {role}" if role in ROLES else role if role in COMPARED else f"teacher {role}"


def _view(role: str, text: str, inputs: Mapping[str, str], where: str) -> View:
    if text in inputs:
        return View(text)
    name, *parts = text.split("@")
    settings = {key: value for key, _, value in (part.partition("=") for part in parts)}
    if name not in TRANSFORMS:
        raise ConfigError(
            f"{where} has no view {name!r}, asked for {in_words(role)}. {suggest(name, [*inputs, *TRANSFORMS])} "
            f"Its inputs are {', '.join(inputs)}; transforms of them are {', '.join(TRANSFORMS)}."
        )
    of = settings.pop("of", next(iter(inputs)) if len(inputs) == 1 else None)
    if of is None:
        raise ConfigError(f"View {name} of which input of {where}? Write {name}@of=NAME: {', '.join(inputs)}.")
    if of not in inputs:
        raise ConfigError(f"{where} has no input {of!r} for view {text!r}. {suggest(of, inputs)}")
    return View(of, transform(name, settings))


def views_of(roles: Mapping[str, View], stores: Mapping[str, Store], ids: Int64[np.ndarray, " n"]) -> dict[str, Store]:
    """The store of each role whose input is there; roles that see the same hold the same store.

    Args:
        roles: what each sees.
        stores: by input.
        ids: the samples' numbers, by their position in the stores.
    """
    made: dict[View, Store] = {}
    for view in roles.values():
        if view not in made and view.input in stores:
            others = {other.tokens for other in roles.values() if other.input == view.input}
            made[view] = _seen(stores[view.input], view, ids, with_ends=len(others) > 1)
    return {role: made[view] for role, view in roles.items() if view in made}


def _seen(store: Store, view: View, ids: Int64[np.ndarray, " n"], *, with_ends: bool) -> Store:
    if isinstance(store, Texts):
        assert isinstance(view.tokens, Tokenizer)
        return Tokenised(store, view.tokens, with_ends=with_ends)
    return store if view.transform is None else Seen(store, view.transform, ids)
