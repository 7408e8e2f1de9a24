"""Mistakes of a training loop that only its steps show."""

import gc
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from kantor.core.collectives import gather_rows, world_size
from kantor.core.errors import ConfigError
from kantor.objective.terms import Bound

_COMPARED = (1, 16)
"""After how many steps the processes' students are compared; the second time for loops whose first steps are tiny."""
_ALIKE = 1e-8
"""Sums of parameters that differ by less of their size are those of one student, added up in another order."""


class Following:
    """Follows the steps of one loop, and refuses what would hurt the student in silence."""

    def __init__(self) -> None:
        self.steps = 0
        self.first: FirstStep | None = None
        """Of the optimiser; from :meth:`Objective.check` until it was seen."""
        self.keeping: list[str] = []
        """Who keeps something from step to step."""
        self._shown = self._met_wrappers = False
        self._compared = 0

    def before_step(
        self, objective: nn.Module, student: nn.Module, bound: Sequence[Bound], progress: float
    ) -> bool | None:
        """The objective is called to learn.

        Args:
            objective: what the loop calls.
            student: what it trains.
            bound: the terms.
            progress: share of training done.

        Returns:
            Before the first step, whether the student's optimiser is :func:`adaptive`; None where there is none of
            torch's.

        Raises:
            ConfigError: the wrapper of several processes is around the student, or around nothing; a weight that rises
                with progress stands still; or the last step was not followed by ``after_step()``.
        """
        self._shown = True
        if not self._met_wrappers:
            refuse_wrapped_student(objective, student)
            self._met_wrappers = True
        refuse_standing_still(bound, progress, self.steps)
        expected = None
        if self.first is not None:
            self.first.renew(objective)
            expected = self.first.begin()
        if self.steps in _COMPARED and self.steps != self._compared:
            self._compared = self.steps
            refuse_apart([p for p in student.parameters() if p.requires_grad], self.steps)
        return expected

    def after_step(self, objective: nn.Module) -> bool | None:
        """The loop says that a step was taken.

        Args:
            objective: what the loop calls.

        Returns:
            Whether the student's optimiser is :func:`adaptive`, once: when its first step was seen.

        Raises:
            ConfigError: nothing was learned in training mode since the last step, or what losses learn was left out.
        """
        if self.keeping and not self._shown:
            raise ConfigError(
                "A step was taken, and since the one before it the objective was not called in training mode: what is "
                f"kept from step to step ({', '.join(self.keeping)}) would stand still. Call objective.train() after "
                "objective.eval(); student.train() alone leaves the objective as it is. To hold the student's batch "
                "norm still, call student.eval() after it."
            )
        self._shown = False
        self.steps += 1
        if self.first is not None:
            self.first.renew(objective)
        adaptive = None if self.first is None else self.first.end()
        if adaptive is not None:
            self.first = None
        return adaptive


class FirstStep:
    """Watches the first step of the optimiser that moves the student.

    It must move the losses' parameters too: one that was made before ``check()`` does not know them, and would leave
    them as they were drawn. It is of a kind, which decides how hard transfer may pull. And whoever takes a step must
    say so (``after_step()``), or what losses keep stands still.

    Args:
        objective: holds all parameters.
        student: what of the student is trained.
        learning: by term, the parameters of its loss that have a gradient.
        keeping: who keeps something from step to step.
    """

    def __init__(
        self,
        objective: nn.Module,
        student: Iterable[nn.Parameter],
        learning: Mapping[str, Iterable[nn.Parameter]],
        keeping: Sequence[str] = (),
    ) -> None:
        self._names = {id(p): name for name, p in objective.named_parameters()}
        self._student = list(student)
        self._learning = {name: found for name, parameters in learning.items() if (found := list(parameters))}
        self._keeping = list(keeping)
        self._stepped: set[int] = set()
        self._adaptive: set[int] = set()
        self._hook: RemovableHandle | None = None

    def begin(self) -> bool | None:
        """Listen to every optimiser's step, until :meth:`end`.

        Returns:
            At the first call, whether the optimiser that will move the student is :func:`adaptive`: it remembers its
            first gradients, so that even those must be limited as it asks for. None where none is found.

        Raises:
            ConfigError: a step was taken since this was called last, and nobody said so.
        """
        if self._keeping and any(id(p) in self._stepped for p in self._student):
            raise ConfigError(
                "A step was taken, and objective.after_step() was not called after it: what "
                f"is kept from step to step ({', '.join(self._keeping)}) would stand still. Call it after every "
                "optimizer.step(), and not before it."
            )
        if self._hook is None:
            here = weakref.ref(self)  # a loop that never calls end() must not keep all this alive

            def stepped(optimizer: Optimizer, *_: Any) -> None:
                if watch := here():
                    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
                    watch._stepped |= trained
                    watch._adaptive |= trained if adaptive(optimizer) else set()

            self._hook = register_optimizer_step_post_hook(stepped)
            return self._expected()
        return None

    def _expected(self) -> bool | None:
        student = {id(p) for p in self._student}
        mine = [
            adaptive(known)
            for known in gc.get_objects()
            if issubclass(type(known), Optimizer)
            and any(id(p) in student for group in getattr(known, "param_groups", ()) for p in group["params"])
        ]
        return all(mine) if mine else None  # of accelerate's wrapper and the SGD in it, only the latter says so

    def renew(self, objective: nn.Module) -> None:
        """Know the parameters that stand in the place of those that were known: FSDP2 puts shards there."""
        now = dict(objective.named_parameters())
        if all(id(p) in self._names for p in now.values()):
            return

        def renewed(known: Iterable[nn.Parameter]) -> list[nn.Parameter]:
            return [now.get(self._names.get(id(p), ""), p) for p in known]

        self._student = renewed(self._student)
        self._learning = {name: renewed(known) for name, known in self._learning.items()}
        self._names = {id(p): name for name, p in now.items()}

    def __getstate__(self) -> dict[str, Any]:
        """A copy, as ``copy.deepcopy`` or a pickle makes it, listens to nobody before its own next step."""
        return {**vars(self), "_hook": None}

    def end(self) -> bool | None:
        """Say it where the student's parameters were stepped and a loss's were not.

        Returns:
            Whether the student's optimiser is :func:`adaptive`; None where no step was seen.

        Raises:
            ConfigError: so it is; names the terms.
        """
        if self._hook is None or not any(id(p) in self._stepped for p in self._student):
            # No step was taken, or by an optimiser that is none of torch's. One that comes after this call is heard
            # too: whoever calls after_step() before the step is told so.
            return None
        self._hook.remove()
        self._hook, stepped, self._stepped = None, self._stepped, set()
        left = [
            name
            for name, parameters in self._learning.items()
            if any(p.requires_grad and id(p) not in stepped for p in parameters)
        ]
        if left:
            raise ConfigError(
                f"The optimiser moves the student and not what {', '.join(left)} learns beside it. It was made before "
                "check(), which makes those parameters, or from the student's alone. Make it after check(), from "
                "objective.parameters()."
            )
        return any(id(p) in self._adaptive for p in self._student)


def adaptive(optimizer: Optimizer) -> bool:
    """Whether an optimiser's step has one length whatever the gradients': all do but SGD and its like."""
    return not any("SGD" in kind.__name__.upper() for kind in type(optimizer).__mro__)


def refuse_standing_still(bound: Sequence[Bound], progress: float, steps: int) -> None:
    """Refuse a second step at progress 0 where a weight rises from 0 with it.

    Raises:
        ConfigError: a term would train nothing for as long as ``progress`` is not set.
    """
    rising = [b.name for b in bound if b.weight.warmup > 0]
    if rising and steps > 0 and progress == 0:
        raise ConfigError(
            f"The weight of {', '.join(rising)} rises from 0 with objective.progress, which still is 0 after {steps} "
            "steps. Set it before every step: objective.progress = step / steps."
        )


def refuse_apart(trained: Sequence[Tensor], steps: int) -> None:
    """Refuse several processes that each train a student of their own. Every one of them calls this.

    Args:
        trained: what of the student is trained; where it lies in shards, they are not compared.
        steps: taken so far.

    Raises:
        ConfigError: the students differ.
    """
    whole = [p.detach() for p in trained if type(p) in (Tensor, nn.Parameter)]
    if world_size() == 1 or len(whole) < len(trained):
        return
    sums = gather_rows(torch.stack([torch.stack([p.double().sum(), p.double().abs().sum()]) for p in whole])[None])
    apart = (sums[..., 0].amax(0) - sums[..., 0].amin(0)) > _ALIKE * sums[..., 1].amax(0)
    if bool(apart.any()):
        raise ConfigError(
            f"After {steps} steps the students of the {world_size()} processes differ: each trains one of its own, for "
            "their gradients are not averaged. Wrap the objective, and call what comes of it: "
            "DistributedDataParallel(objective, broadcast_buffers=False)(batch)."
        )


def refuse_wrapped_student(objective: nn.Module, student: nn.Module) -> None:
    """Refuse several processes whose wrapper stands around the student, and not around the objective.

    The wrapper averages gradients where *it* is called. Beside it each process would train a student of its own.

    Raises:
        ConfigError: so it is.
    """
    if world_size() == 1:
        return
    inside = {id(module) for module in student.modules()}
    for wrapper in gc.get_objects():
        if not issubclass(type(wrapper), _WRAPPERS) or wrapper is objective:
            continue
        wrapped = wrapper.module
        if wrapped is objective or not isinstance(wrapped, nn.Module):
            continue
        around = id(wrapper) in inside or id(wrapped) in inside or any(m is student for m in wrapped.modules())
        if around and not any(m is objective for m in wrapped.modules()):
            raise ConfigError(
                f"The student is wrapped in {type(wrapper).__name__}, and the objective is called beside it: gradients "
                "would not be averaged, and each process would train a student of its own. Give Objective the student "
                "as it is, wrap the objective, and call what comes of it: "
                "DistributedDataParallel(objective, broadcast_buffers=False)(batch)."
            )


_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)
