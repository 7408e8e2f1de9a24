"""Losses over several layers: outputs as tuples, shapes checked pair by pair before training."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from kantor.core.errors import ShapeError
from kantor.losses.base import Features, Shapes
from kantor.losses.features import as_map, common_grid, refuse_sequence_beside_map


def as_stages(x: Features) -> tuple[Tensor, ...]:
    """One layer's output as a tuple of one; a tuple as it is."""
    return (x,) if isinstance(x, Tensor) else tuple(x)


def single(x: Features) -> Tensor:
    """The one layer's output of a loss over one layer.

    Raises:
        ShapeError: there are several, or none.
    """
    layers = as_stages(x)
    if len(layers) != 1:
        raise ShapeError(f"This loss compares one layer of each network, and is given {len(layers)} outputs of one.")
    return layers[0]


def as_many(name: str, student: Features, teacher: Features, *, least: int = 1) -> list[tuple[Tensor, Tensor]]:
    """The outputs pair by pair; one layer's alone counts as a tuple of one.

    Raises:
        ShapeError: the student has another number of layers than the teacher, or there are fewer than ``least``.
    """
    s, t = as_stages(student), as_stages(teacher)
    if len(s) < least or len(s) != len(t):
        wanted = "maps level by level" if least == 1 else "two maps or more, pair by pair"
        raise ShapeError(f"{name} compares {wanted}; given are {len(s)} and {len(t)}.")
    return list(zip(s, t, strict=True))


def paired(name: str, student_shapes: Shapes, teacher_shapes: Shapes) -> list[tuple[torch.Size, torch.Size]]:
    """The shapes pair by pair.

    Raises:
        ShapeError: the student has another number of layers than the teacher, or none.
    """
    if not student_shapes or len(student_shapes) != len(teacher_shapes):
        raise ShapeError(
            f"{name} compares layers pair by pair; the student's are {plain(student_shapes)}, "
            f"the teacher's {plain(teacher_shapes)}. Bind as many layers of one as of the other."
        )
    return list(zip(student_shapes, teacher_shapes, strict=True))


def paired_maps(name: str, student_shapes: Shapes, teacher_shapes: Shapes) -> list[tuple[torch.Size, torch.Size]]:
    """The shapes pair by pair as channel-first maps ``[N, C, H, W]``; a sequence has a height of 1.

    Raises:
        ShapeError: the numbers of layers differ, a layer has no positions, or a sequence meets a map.
    """
    return [
        (map_shape(name, s, t, s), map_shape(name, s, t, t)) for s, t in paired(name, student_shapes, teacher_shapes)
    ]


def paired_grids(name: str, student_shapes: Shapes, teacher_shapes: Shapes) -> list[tuple[torch.Size, torch.Size]]:
    """The shapes pair by pair as maps ``[N, C, H, W]`` on the coarser one's grid, volumes as their planes.

    Raises:
        ShapeError: the numbers of layers differ, a layer has no positions, or one of a pair alone is a volume.
    """
    found = []
    for s, t in paired(name, student_shapes, teacher_shapes):
        with _said(name, s, t):
            ours, theirs = common_grid(torch.empty(s, device="meta"), torch.empty(t, device="meta"))
            found.append((ours.shape, theirs.shape))
    return found


def map_shape(name: str, student: torch.Size, teacher: torch.Size, wanted: torch.Size) -> torch.Size:
    """``wanted`` (one of the pair) as a channel-first map's shape; the error names the pair."""
    check_positions_meet(name, student, teacher)
    with _said(name, student, teacher):
        return as_map(torch.empty(wanted, device="meta")).shape


def check_positions_meet(name: str, student: torch.Size, teacher: torch.Size) -> None:
    """Refuse a sequence beside a map; the error names the loss and the pair."""
    with _said(name, student, teacher):
        refuse_sequence_beside_map(student, teacher)


@contextlib.contextmanager
def _said(name: str, student: torch.Size, teacher: torch.Size) -> Iterator[None]:
    """Name the pair of layers that an error is of."""
    try:
        yield
    except ShapeError as error:
        raise ShapeError(
            f"{name} compares maps over positions; the student's layer is {tuple(student)}, the teacher's "
            f"{tuple(teacher)}. Bind a layer before the pooling. ({error})"
        ) from error


def plain(shapes: Shapes) -> list[tuple[int, ...]]:
    """Shapes as they read best in a message."""
    return [tuple(shape) for shape in shapes]
