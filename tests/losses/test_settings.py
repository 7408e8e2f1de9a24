"""Settings: types by the constructors' annotations, ranges in the constructors."""

import math
from typing import get_type_hints

import pytest

from kantor import losses
from kantor.core.errors import ConfigError
from kantor.losses.settings import fitted, in_words

EVERY = {**losses.LOSSES, **losses.PENALTIES}
SKIP = ("return", "args", "kwargs")
SETTINGS = [(name, key) for name, kind in EVERY.items() for key in get_type_hints(kind.__init__) if key not in SKIP]
WRONG = {
    "word": "four", "list": [1, 2], "mapping": {"a": 1}, "negative": -3, "nan": math.nan, "infinite": math.inf,
    "beyond float32": 1e39, "huge": 10**400, "object": object(),
}  # fmt: skip


@pytest.mark.parametrize(("name", "key"), SETTINGS)
@pytest.mark.parametrize("kind", WRONG)
def test_a_setting_of_another_type_or_range_is_a_message(name: str, key: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=name):
        losses.named(name, **{key: WRONG[kind]})


def test_a_loss_without_settings_takes_none() -> None:
    for wrong in ("args", "kwargs", "self"):
        with pytest.raises(ConfigError, match="sp has no setting"):
            losses.named("sp", **{wrong: 1})


def test_whole_numbers_and_floats_meet() -> None:
    assert losses.named("crd", negatives=1e3).settings()["negatives"] == 1000
    assert losses.named("kd", temperature=2).settings()["temperature"] == 2
    for wrong in (1.5, True, "1"):
        with pytest.raises(ConfigError, match="negatives is a whole number"):
            losses.named("crd", negatives=wrong)


def test_an_unknown_setting_names_what_is_close() -> None:
    with pytest.raises(ConfigError, match=r"kd has no setting 'temperatur'. Close to it: temperature"):
        losses.named("kd", temperatur=3)


def test_lists_and_mappings() -> None:
    def make(names: list[str], by_name: dict[str, float] | None = None) -> None: ...

    assert fitted("x", make, {"names": ["a"], "by_name": {"a": 1}}) == {"names": ["a"], "by_name": {"a": 1}}
    for wrong in ({"names": "a"}, {"names": [1]}, {"by_name": {1: 1.0}}, {"by_name": {"a": "b"}}):
        with pytest.raises(ConfigError, match="x: "):
            fitted("x", make, wrong)


def test_settings_in_words() -> None:
    def make(
        names: list[str], count: int = 1, share: float | None = None, on: bool = False, what="x", **_: object
    ) -> None: ...

    assert in_words(make).splitlines() == [
        "names: a list", "count: a whole number (1)", "share: a finite number or left out (left out)",
        "on: true or false (false)", "what (x)",
    ]  # fmt: skip
    assert in_words(losses.KD).splitlines() == [
        "temperature: a finite number (4.0)", "divergence: forward or reverse or js or skew (forward)",
    ]  # fmt: skip
    assert in_words(losses.SP) == ""
