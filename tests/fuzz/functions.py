"""Calls of public functions with odd tensors."""

import inspect
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kantor import losses, ot

_OT = ("cost", "solve", "divergence", "gaussian", "sliced", "partial", "unbalanced", "one_dimensional")


def tensor(rng: random.Random, shape: tuple[int, ...]) -> Tensor:
    """Of about that shape: another size, number of dimensions, type, or values that are no numbers."""
    how = rng.random()
    if how < 0.1:
        shape = tuple(rng.choice((0, 1, size, size + 1)) for size in shape)
    elif how < 0.2:
        shape = rng.choice(((), (1,), shape[:-1], (*shape, 2), (0, *shape[1:]), shape[::-1]))
    made = torch.randn(shape, generator=torch.Generator().manual_seed(rng.randrange(2**31)))
    how = rng.random()
    if how < 0.1:
        made = made * rng.choice((0.0, 1e-30, 1e30, torch.inf, torch.nan))
    elif how < 0.15 and made.numel():
        made.view(-1)[rng.randrange(made.numel())] = rng.choice((torch.nan, torch.inf))
    elif how < 0.25:
        made = made.to(
            rng.choice((torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.complex64))
        )
    return made.requires_grad_() if made.is_floating_point() and rng.random() < 0.3 else made


def call_of(rng: random.Random) -> tuple[str, Callable[[], Any]]:
    """One call, in words and to be made."""
    batch, a, b = rng.choice(((8, 6, 6), (8, 6, 10), (1, 6, 6), (2, 1, 1)))
    if rng.random() < 0.4:
        name = rng.choice(_OT)
        function = getattr(ot, name)
        first = (batch, a) if name in ("cost", "divergence", "sliced", "gaussian") else (batch, batch)
        given = [tensor(rng, first)]
        if name not in ("solve", "partial", "unbalanced") or rng.random() < 0.3:
            given.append(tensor(rng, first if name not in ("solve", "partial", "unbalanced") else (batch,)))
        keywords: dict[str, Any] = {}
        accepted = inspect.signature(function).parameters
        for key, values in {
            "epsilon": (0.1, 0.0, -1.0, 1e-12, float("nan"), 1e30),
            "tol": (1e-6, 0.0, -1.0),
            "mass": (0.5, 0.0, 2.0, -1.0),
            "rho": (1.0, 0.0, -1.0),
        }.items():
            if key in accepted and (accepted[key].default is inspect.Parameter.empty or rng.random() < 0.5):
                keywords[key] = rng.choice(values)
    else:
        names = [
            n for n, f in vars(losses).items() if inspect.isfunction(f) and f.__module__.startswith("kantor.losses.")
        ]
        name = rng.choice(sorted(set(names) & set(losses.LOSSES)))
        function = getattr(losses, name)
        shape = rng.choice(((batch, a), (batch, a, 4, 4), (batch, 3, a)))
        same = (batch, *(b if size == a else size for size in shape[1:]))
        given, keywords = [tensor(rng, shape), tensor(rng, rng.choice((shape, same)))], {}
        if "targets" in inspect.signature(function).parameters:
            keywords["targets"] = torch.randint(0, a, (batch,))
    needed = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    missing = needed[len(given) :]
    if any(key not in keywords for key in missing):
        keywords |= {key: tensor(rng, (batch,)) for key in missing if key not in keywords}
    shown = ", ".join(f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in given)
    return f"{function.__module__}.{name}({shown}, {list(keywords)})", lambda: function(*given, **keywords)
