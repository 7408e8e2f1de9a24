"""How a metric's values are compared and written: in a table, on a page, in a sentence."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kantor.core.numbers import between, counting, decimals_of, fixed, percent

SHARE = "%"
"""The unit of a metric in [0, 1] that is shown in per cent; differences are then points."""


@dataclass(frozen=True)
class Scale:
    """A metric's name, unit and direction; what a run's files keep of it."""

    name: str
    unit: str = ""
    """``%`` for a share in [0, 1]; otherwise what is written behind a value, nothing for a bare number."""
    higher_is_better: bool = True

    @classmethod
    def parse(cls, record: Mapping[str, Any] | None) -> "Scale":
        """From what a run's files keep; accuracy where they keep nothing, as runs before there were tasks did."""
        if record is None:
            return ACCURACY
        return cls(record["name"], record.get("unit", ""), record.get("higher_is_better", True))

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @property
    def is_share(self) -> bool:
        """Whether values are in [0, 1] and shown in per cent."""
        return self.unit == SHARE

    @property
    def title(self) -> str:
        """The name as a sentence or a heading begins with it."""
        return self.name[:1].upper() + self.name[1:]

    @property
    def heading(self) -> str:
        """The name with its unit, for a column or an axis."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def shown(self, value: float) -> float:
        """A value in the metric's unit."""
        return 100 * value if self.is_share else value

    def gain(self, difference: float) -> float:
        """A difference of two values, positive where the first is better."""
        return difference if self.higher_is_better else -difference

    def better(self, one: float, other: float | None) -> bool:
        """Whether a value is better than another one; than none at all it is, and NaN is better than nothing."""
        return not math.isnan(one) and (other is None or self.gain(one - other) > 0)

    def number(self, value: float, digits: int = 2) -> str:
        """A value without its unit: a share with so many digits behind the point, others with one more that count."""
        return percent(value, digits) if self.is_share else counting(value, digits + 1)

    def text(self, value: float, digits: int = 2) -> str:
        """A value with its unit."""
        return f"{self.number(value, digits)} {self.unit}".rstrip()

    def signed(self, difference: float, digits: int = 2) -> str:
        """A difference with its sign, without a unit."""
        text = self.number(difference, digits)
        return text if text.startswith("-") else f"+{text}"

    def interval(self, bounds: tuple[float, float] | None, digits: int = 2, *, signed: bool = False) -> str:
        """Both bounds of an interval; empty where there is none."""
        if bounds is None:
            return ""
        decimals = digits if self.is_share else decimals_of(max(map(abs, bounds)), digits + 1)  # both alike
        return between(bounds, lambda bound: fixed(self.shown(bound), decimals, signed=signed))

    def said(self, value: float, digits: int = 1) -> str:
        """A value as it is said of a model: ``93.1 % right``, ``RMSE 0.41 m``."""
        if self == ACCURACY:
            return f"{self.text(value, digits)} right"
        return f"{self.name} {self.text(value, digits)}"

    def said_on(self, value: float, part: str, digits: int = 2) -> str:
        """A value as it is said of samples: ``93.10 % of the test part right``, ``RMSE 0.412 m on the test part``."""
        if self == ACCURACY:
            return f"{self.text(value, digits)} of {part} right"
        return f"{self.said(value, digits)} on {part}"

    def said_difference(self, difference: float, digits: int = 1) -> str:
        """A difference as it is said: ``+4.4 points``, ``0.05 m lower``."""
        if self.is_share:
            return f"{self.signed(difference, digits)} points"
        size = self.text(abs(difference), digits)
        return f"{size} {'higher' if difference > 0 else 'lower'}" if difference else "no different"


ACCURACY = Scale("accuracy", SHARE)
