"""Train and eval mode, part by part: what was frozen stays so."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def as_evaluated(network: nn.Module) -> Iterator[None]:
    """The network in eval mode; every module's own mode is put back afterwards, whatever happens meanwhile."""
    with modes_kept(network):
        network.eval()
        yield


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Put every module's own mode back afterwards, whatever happens meanwhile."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        network.train(modes[0][1])  # some modules do more in train() than set a flag
        for module, mode in modes:
            module.training = mode


def as_trained(network: nn.Module) -> None:
    """Put the network in train mode, but for parts that are frozen: in eval mode, with parameters and none to train."""
    frozen = [module for module in network.modules() if not module.training and _held(module)]
    network.train()
    for module in frozen:
        module.eval()


def _held(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Leave a module's buffers (running statistics) as they were found; one that is new stays."""
    saved = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                if name in saved:
                    buffer.copy_(saved[name])
