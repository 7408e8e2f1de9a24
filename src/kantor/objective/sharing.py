"""A student and a teacher that are partly one: freezing the teacher would freeze the student, in silence."""

from collections.abc import Iterator

from torch import Tensor, nn

from kantor.capture.compiled import named_layers, plain
from kantor.core.errors import ConfigError


def refuse_shared(student: nn.Module, teacher: nn.Module, name: str) -> None:
    """Refuse a teacher that holds a part of the student.

    A shared activation is harmless. What is refused is a weight or a buffer, also as two tensors in one memory
    (``load_state_dict(..., assign=True)``), and a module that does otherwise in training (dropout).

    Raises:
        ConfigError: it does; names the modules.
    """
    memory = {_place(x) for _, x in _tensors(teacher)} - {None}
    modules = {id(module) for module in teacher.modules()}
    shared = [key for key, x in _tensors(student) if _place(x) in memory]
    shared += [path for path, module in named_layers(student) if id(module) in modules and _depends_on_mode(module)]
    if shared:
        some = ", ".join(shared[:6]) + (", ..." if len(shared) > 6 else "")
        raise ConfigError(
            f"The student shares {some} with teacher {name}. A teacher is frozen and in eval mode, and what is shared "
            "would be so in the student too. Give the teacher a copy of its own: copy.deepcopy(teacher)."
        )


def follows_mode(module: nn.Module) -> bool:
    """Whether a module of this class does something else in training than in evaluation, as far as its code says."""
    code = getattr(type(module).forward, "__code__", None)
    return code is not None and "training" in code.co_names


def _depends_on_mode(module: nn.Module) -> bool:
    # One with tensors of its own has been named by them.
    own = next(module.parameters(recurse=False), next(module.buffers(recurse=False), None))
    return own is None and follows_mode(module)


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for tensors in (network.named_parameters(remove_duplicate=False), network.named_buffers(remove_duplicate=False)):
        yield from ((plain(name), x) for name, x in tensors)


def _place(x: Tensor) -> tuple[str, int] | None:
    """Where in memory a tensor begins; None for one that holds nothing yet."""
    address = 0 if x.is_meta or nn.parameter.is_lazy(x) else x.data_ptr()
    return (str(x.device), address) if address and x.numel() else None
