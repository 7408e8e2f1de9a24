"""Settings that a program gives are looked at as those of the command line and YAML are."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from kantor.core.errors import ConfigError
from kantor.core.reading import dump_yaml, parse_yaml
from kantor.core.shape import check_settings


@dataclass
class Settings:
    data: str = "digits"
    seeds: int = 5
    lr: float = 0.1
    unfit: Literal["refuse", "skip"] = "refuse"
    skip: bool = False
    tune: list[float] = field(default_factory=list)
    limit: float | Literal["auto"] | None = "auto"


@pytest.mark.parametrize(
    ("name", "value"),
    [("data", Path("x")), ("data", b"x"), ("seeds", "x"), ("seeds", True), ("seeds", 1.0), ("seeds", np.int64(2)),
     ("seeds", 10**400), ("lr", "0.1"), ("lr", float("nan")), ("lr", 1e39), ("unfit", "fail"), ("unfit", None),
     ("unfit", np.array([1, 2])), ("skip", 1), ("tune", 1.0), ("tune", ["a"]), ("limit", "none")],
)  # fmt: skip
def test_another_type_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        check_settings(Settings(**{name: value}))


def test_numbers_of_numpy_are_numbers_and_can_be_written():
    settings = Settings(lr=np.float64(0.25), tune=[*np.linspace(1, 2, 2)], data=np.str_("x"))
    check_settings(settings)
    assert parse_yaml(dump_yaml(vars(settings))) == vars(settings)
