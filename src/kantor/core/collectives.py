"""The few collectives that losses and the loop need. With one process each of them is the identity.

Gradient convention: with several processes every rank computes the *same* global loss from summed or gathered
parts, and the data-parallel wrapper averages parameter gradients. The backward of a sum over ranks is a sum over
ranks, so the average comes out as the gradient of the global loss.
"""

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor


def world_size() -> int:
    """The number of processes that train together; 1 outside ``torchrun``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's place among them; 0 outside ``torchrun``."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def wait_for_all() -> None:
    """Go on once every process has come this far."""
    if world_size() > 1:
        dist.barrier()


def of_main(number: int, device: torch.device) -> int:
    """The main process's number, on every process."""
    if world_size() == 1:
        return number
    return int(sum_over_ranks(torch.tensor(float(number if rank() == 0 else 0), device=device)))


def sum_over_ranks(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The sum of ``x`` over processes, differentiable. ``x`` has the same shape on every rank."""
    return x if world_size() == 1 else _Sum.apply(x)  # type: ignore[return-value]


def gather_rows(x: Shaped[Tensor, "rows ..."]) -> Shaped[Tensor, "all_rows ..."]:
    """The rows of every process in rank order, differentiable. Each rank has the same number of rows."""
    if world_size() == 1:
        return x
    if x.is_floating_point():
        return _Gather.apply(x)  # type: ignore[return-value]
    parts = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ARG004
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:  # noqa: ARG004
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.rows = x.shape[0]
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        start = rank() * ctx.rows
        return total[start : start + ctx.rows]
