"""Random draws of a loss: the same on every process and after a resume, and apart from torch's own generators."""

import torch
from torch import Tensor, nn

from kantor.core import seeds
from kantor.core.uncompiled import outside_graphs

_generator = outside_graphs(seeds.generator)


class Draws(nn.Module):
    """A generator for each step, a pure function of a seed and a counter. Both are state.

    Made in a loss's ``build``, where torch's generators are seeded: the seed is drawn from them.
    """

    seed: Tensor
    counter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seed", torch.randint(2**62, (), dtype=torch.int64))
        self.register_buffer("counter", torch.zeros((), dtype=torch.int64))

    def generator(self) -> torch.Generator:
        """This step's generator, on the CPU, at its beginning."""
        return _generator(int(self.seed), int(self.counter))

    def advance(self) -> None:
        """Go on to the next step."""
        self.counter += 1
