"""Networks under ``torch.compile``: their layers keep the names they had, and can be read.

Compiled code runs no hooks that came after it, and a compiled module stands around the one that it was made of.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

_INSIDE = "_orig_mod"
"""What ``torch.compile`` calls the module that it was given."""


def uncompiled(module: nn.Module) -> nn.Module:
    """The module that ``torch.compile`` was given; any other module itself."""
    while _INSIDE in module._modules:
        module = module.get_submodule(_INSIDE)
    return module


def plain(name: str) -> str:
    """The name of a module or weight as it is without compilation: ``_orig_mod.layer1.weight`` is ``layer1.weight``."""
    return ".".join(part for part in name.split(".") if part != _INSIDE)


def named_layers(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """``root.named_modules()``, every module under its plain name, without the wrappers of ``torch.compile``."""
    return ((plain(name), module) for name, module in root.named_modules() if _INSIDE not in module._modules)


def is_compiled(network: nn.Module) -> bool:
    """Whether the network, or a part of it, runs compiled."""
    return any(_INSIDE in m._modules or m._compiled_call_impl is not None for m in network.modules())


def interpreted(network: nn.Module) -> AbstractContextManager[object]:
    """A context in which compiled parts of the network run as the Python they were made of, hooks included."""
    return torch.compiler.set_stance("force_eager") if is_compiled(network) else nullcontext()
