"""Where the channels of a three-dimensional output are: a signal ``[N, C, L]`` and tokens ``[N, T, D]`` look alike.

What tells them apart is the layer that ran last: a one-dimensional convolution puts channels second, a linear layer
last. So it is asked only of networks that hold such a convolution and are given no image.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv, instancenorm, pooling

from kantor.capture.layout import Layout

_SECOND = (
    nn.Conv1d, nn.ConvTranspose1d, conv.LazyConv1d, nn.BatchNorm1d, batchnorm.LazyBatchNorm1d, nn.InstanceNorm1d,
    instancenorm.LazyInstanceNorm1d, nn.GroupNorm, nn.MaxPool1d, nn.AvgPool1d, pooling.LPPool1d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveMaxPool1d,
)  # fmt: skip
_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)


class Channels:
    """Follows one forward after another: where the layer that ran last has its channels.

    Args:
        root: the network; the modules to be watched with :meth:`ran` are in :attr:`telling`, none where all
            three-dimensional outputs are tokens.
    """

    def __init__(self, root: nn.Module) -> None:
        signal = any(isinstance(module, nn.Conv1d | nn.ConvTranspose1d) for module in root.modules())
        self.telling = [module for module in root.modules() if signal and isinstance(module, (*_SECOND, *_LAST))]
        self.layout: Layout = "channels_last"

    def begin(self) -> None:
        """A forward begins."""
        self.layout = "channels_last"

    def ran(self, module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG002
        """A hook for the modules in ``telling``: it has run."""
        self.layout = "channels_first" if isinstance(module, _SECOND) else "channels_last"

    def at(self, x: Tensor, image: tuple[int, int] | None, given_to: nn.Module | None = None) -> Layout | None:
        """The layout of a three-dimensional output; None where shapes decide.

        Args:
            x: the output.
            image: height and width of the network's input; None where it is no image.
            given_to: the module that is given ``x``, where no module returned it.
        """
        if x.ndim != 3 or image is not None or not self.telling:
            return None
        if given_to is not None and isinstance(given_to, (*_SECOND, *_LAST)):
            return "channels_first" if isinstance(given_to, _SECOND) else "channels_last"
        return self.layout
