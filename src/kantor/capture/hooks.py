"""Read layers of a network while it runs, and leave nothing behind."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kantor.capture.compiled import interpreted, named_layers, plain, uncompiled
from kantor.capture.layout import Layout, as_features, image_of, logits_of, tensor_of
from kantor.capture.signals import Channels
from kantor.core.errors import ConfigError, KantorError, suggest

LOGITS = "logits"
"""The path of the network's own output."""
INPUT = ".input"
"""Ends the path of what a module is given, where no module returns it: an activation by a function."""
PENULTIMATE = "penultimate"
"""The path of the classifier's input: what the last ``nn.Linear`` to run is given."""


class Captured(Mapping[str, Tensor]):
    """The layers' outputs of the latest forward, by path. Keeps them after the context has ended."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(paths)
        self.outputs: dict[str, Tensor] = {}

    def __getitem__(self, path: str) -> Float[Tensor, "batch ..."]:
        if path in self.outputs:
            return self.outputs[path]
        if path not in self.paths:
            raise ConfigError(f"'{path}' is not being captured. {suggest(path, self.paths)}")
        raise KantorError(
            f"Layer '{path}' did not run in the latest forward, or there was none. Some modules are only containers "
            "(a ModuleList), some run in training alone; choose one that runs."
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def path_root(network: nn.Module) -> nn.Module:
    """The module that paths start from: a wrapper around a network (``kantor.models.Model``) names it ``path_root``.

    What ``torch.compile`` wrapped is looked into.
    """
    network = uncompiled(network)
    root = getattr(network, "path_root", network)
    return uncompiled(root) if isinstance(root, nn.Module) else network


@contextmanager
def capture(
    network: nn.Module, paths: Iterable[str], *, layouts: Mapping[str, Layout] | None = None
) -> Iterator[Captured]:
    """Hold each path's output after every forward inside the context; no hook is left when it ends, also on an error.

    Gradients flow through what is captured. A captured layer is copied as it is returned, since a later in-place
    operation (``ReLU(inplace=True)``, ``x += shortcut``) would otherwise overwrite it. Where a module runs more than
    once in one forward, its last call counts. Compiled parts of the network run uncompiled inside the context, since
    compiled code runs no hooks.

    Example:
        >>> with capture(model, ["layer3", "logits"]) as layers:
        ...     model(images)
        >>> layers["layer3"].shape
        torch.Size([128, 64, 8, 8])

    Args:
        network: any module. Paths are those of ``named_modules()``; of a ``Model``, those of its ``network``.
        paths: module paths, ``PATH.input`` (what the module at PATH is given), ``"logits"`` (the network's output) or
            ``"penultimate"`` (the classifier's input).
        layouts: for single paths, how an output with positions is laid out, where the rules of ``layout_of`` and
            ``Channels`` are misled. Maps and volumes always come channel-first, tokens and signals channel-last.

    Yields:
        a mapping from path to ``[N, D]``, ``[N, T, D]``, ``[N, C, H, W]`` or ``[N, C, D, H, W]``.

    Raises:
        ConfigError: there is no such path; says which are close.
        ShapeError: during the forward, if a layer returns no tensor or one of another kind.
    """
    paths, layouts = tuple(dict.fromkeys(paths)), dict(layouts or {})
    root = path_root(network)
    modules, inputs = _places(root, paths)
    for path in layouts:
        if path not in modules and path not in inputs:
            raise ConfigError(f"A layout is given for '{path}', which is not captured. {suggest(path, modules)}")
    captured = Captured(paths)
    forward, channels = _Forward(), Channels(root)

    def begin(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG001
        captured.outputs.clear()
        forward.begin(args, kwargs)
        channels.begin()

    def take(path: str, output: Any, given_to: nn.Module | None = None) -> None:
        x = forward.padded(tensor_of(output, path))
        layout = layouts.get(path) or channels.at(x, forward.image, given_to)
        x = as_features(x, path, image=forward.image, batch=forward.batch, layout=layout)
        captured.outputs[path] = x.clone()

    def keep(path: str) -> Any:
        return lambda _module, _args, output: take(path, output)

    def keep_input(path: str) -> Any:
        return lambda module, args, kwargs: take(path, [*args, *kwargs.values()], module)

    def remember_linear(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Tensor) -> None:  # noqa: ARG001
        forward.last_linear = (args[0] if args else kwargs["input"], output)

    def end(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
        if LOGITS in paths:
            captured.outputs[LOGITS] = logits_of(output, "the network", batch=forward.batch)
        if PENULTIMATE in paths:
            captured.outputs[PENULTIMATE] = forward.classifier_input(logits_of(output, "the network"))
        forward.last_linear = None

    with ExitStack() as hooks:
        hooks.enter_context(interpreted(network))
        hooks.callback(root.register_forward_pre_hook(begin, with_kwargs=True, prepend=True).remove)
        for module in channels.telling:  # before the layers' own hooks, which ask what it told
            hooks.callback(module.register_forward_hook(channels.ran).remove)
        for path, module in modules.items():
            hooks.callback(module.register_forward_hook(keep(path)).remove)
        for path, module in inputs.items():
            hooks.callback(module.register_forward_pre_hook(keep_input(path), with_kwargs=True).remove)
        if PENULTIMATE in paths:
            for module in root.modules():
                if isinstance(module, nn.Linear):
                    hooks.callback(module.register_forward_hook(remember_linear, with_kwargs=True).remove)
        hooks.callback(root.register_forward_hook(end).remove)
        yield captured


def changed(root: nn.Module, path: str, change: Callable[[Tensor], Tensor]) -> RemovableHandle:
    """Put ``change`` of a layer's output in its place until the handle, a context manager, is removed.

    Args:
        root: the network.
        path: of a module, or ``PATH.input``; the output, or first input, is a tensor.
        change: from what was returned to what goes on.

    Raises:
        ConfigError: there is no such layer.
    """

    def before(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (change(args[0]), *args[1:])

    def after(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        return change(output)

    if _is_input(root, path):
        return find(root, path.removesuffix(INPUT)).register_forward_pre_hook(before)
    return find(root, path).register_forward_hook(after)


def find(root: nn.Module, path: str, *, others: Sequence[str] = ()) -> nn.Module:
    """The module at ``path``.

    Args:
        root: the network.
        path: of the module.
        others: what may be written in a module's place, for the message.

    Raises:
        ConfigError: there is none; says which are close.
    """
    # Not named_modules(): a module that is used in two places has two paths, and is listed there under the first.
    module = uncompiled(root)
    for part in plain(path).split("."):
        inside = module._modules.get(part)
        if inside is None:
            names = [*others, *(name for name, _ in named_layers(root) if name)]
            raise ConfigError(f"The network has no layer '{path}'. {suggest(path, names)}")
        module = uncompiled(inside)
    return module


def _places(root: nn.Module, paths: Sequence[str]) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """The modules whose outputs are meant, and those whose inputs are, by path."""
    outputs = (LOGITS, PENULTIMATE)
    inputs = {path: find(root, path.removesuffix(INPUT)) for path in paths if _is_input(root, path)}
    return {path: find(root, path, others=outputs) for path in paths if path not in (*outputs, *inputs)}, inputs


def _is_input(root: nn.Module, path: str) -> bool:
    """The path is that of a module's input; a module that is itself called ``input`` comes first."""
    return path.endswith(INPUT) and path not in (name for name, _ in named_layers(root))


class _Forward:
    """What the hooks of one forward know of it."""

    def __init__(self) -> None:
        self.image: tuple[int, int] | None = None
        self.batch: int | None = None
        self.longest = 0
        self.last_linear: tuple[Tensor, Tensor] | None = None

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor) and x.ndim > 0]
        self.batch = given[0].shape[0] if given else None
        self.longest = given[0].shape[1] if given and given[0].ndim > 1 else 0
        self.image = image_of(given)
        self.last_linear = None

    def padded(self, x: Tensor) -> Tensor:
        """What torch's transformers make in eval mode of tokens with padding, as the tokens that went in."""
        if not x.is_nested:
            return x
        even = torch.nested.to_padded_tensor(x, 0.0)
        return F.pad(even, (0, 0, 0, max(0, self.longest - even.shape[1])))

    def classifier_input(self, logits: Tensor) -> Tensor:
        if self.last_linear is None or self.last_linear[1].shape != logits.shape:
            raise ConfigError(
                "'penultimate' is the input of the nn.Linear that makes the logits, and this network's last layer is "
                "none. Name the module whose output you mean by its path instead."
            )
        return self.last_linear[0]
