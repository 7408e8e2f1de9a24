"""The second, smaller protocol: penalties on the student's weights."""

from collections.abc import Mapping
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn


class WeightPenalty(nn.Module):
    """A penalty on the student's weights, which looks at no batch. Minimised, with a positive weight.

    Under several processes every rank computes the same value from the same weights.
    """

    name: ClassVar[str]
    """As written in ``--methods``."""
    paper: ClassVar[str] = ""
    """The source, if there is one, as ``arXiv 1802.01483`` or a venue."""
    default_weight: ClassVar[float]
    """The term's weight beside a task weight of 1."""

    def build(self, student: nn.Module, source: Mapping[str, Tensor]) -> None:
        """Take up what the weights are compared with. Called once, before the optimiser exists.

        Args:
            student: the network to be trained, unwrapped.
            source: the weights it starts from, by parameter name.

        Raises:
            ShapeError: nothing in ``source`` fits the student.
        """

    def forward(self, student: nn.Module) -> Float[Tensor, ""]:
        """The penalty on the student's weights as they are now, a scalar."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """The settings, as they appear in the step-0 print."""
        return ", ".join(f"{key}={value!r}" for key, value in self.settings().items())

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments as resolved, for the record."""
        return {}
