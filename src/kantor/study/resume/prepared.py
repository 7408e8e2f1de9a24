"""What step 0 decided, in ``plan.json``: the same for every seed and process."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from kantor import losses
from kantor.core import trust
from kantor.core.errors import ConfigError, DataError
from kantor.core.reading import DAMAGED, read_json
from kantor.core.sealed_json import unsealed, write_sealed_json
from kantor.data import LayerSpec
from kantor.models.spec import codes_of
from kantor.objective import Term
from kantor.results.records import KeptPlan, Teacher
from kantor.study.settings.starting_weights import Start
from kantor.study.settings.study import MOST_AT_ONCE
from kantor.training import Pair

_TYPES = {"float16": torch.float16, "uint16": torch.uint16, "int32": torch.int32}


@dataclass(frozen=True)
class Prepared:
    """What the checks at step 0 decided, as ``plan.json`` keeps it: the same for every seed and process."""

    teachers: dict[str, Teacher]
    """By name: ``spec`` (with weights), ``classes`` (where the user gave them), ``digest``, ``facts``, and ``layers``:
    what is cached of it, by key."""
    bound: dict[str, list[dict[str, Any]]]
    """By method: its terms, each with the layers and the weight that it is bound to."""
    pairs: list[Pair]
    """Layers whose transport plans are recorded."""
    cached: bool
    threads: int
    starts: dict[str, Start | None]
    """By method: the weights that its students start from."""

    def layers(self, teacher: str) -> dict[str, LayerSpec]:
        """What is cached of a teacher."""
        known = self.teachers[teacher]["layers"]
        return {
            key: LayerSpec(tuple(shape), _TYPES[rest[0]] if rest else torch.float32, pooled)
            for key, (shape, pooled, *rest) in known.items()
        }

    def terms(self, method: str) -> list[Term]:
        """A method's terms as they were bound, each with a loss of its own."""
        return [Term.parse(kept) for kept in self.bound[method]]

    def write(self, run: Path) -> None:
        """Keep it in the run's folder."""
        write_sealed_json(run / "plan.json", asdict(self))

    @classmethod
    def read(cls, run: Path) -> "Prepared":
        """As it was decided.

        Raises:
            ConfigError: there is none yet, or it names code that this file may not ask for.
            DataError: it was changed or damaged since.
        """
        content = read_json(run / "plan.json", KeptPlan)
        if not content:
            raise ConfigError(f"{run} has no plan.json, which step 0 leaves: `kantor resume {run}` first.")
        if not 1 <= content["threads"] <= MOST_AT_ONCE:
            raise DataError(f"{run / 'plan.json'} cannot be used: threads is {content['threads']}. {DAMAGED}")
        specs = [teacher["spec"] for teacher in content["teachers"].values()]
        begins = [start["spec"].replace("{seed}", "0") for start in content["starts"].values() if start]
        terms = [term for bound in content["bound"].values() for term in bound]
        codes = codes_of([*specs, *begins])
        for term in terms:
            if "loss" in term:  # runs of the first format name none
                codes += losses.codes_of(term["loss"], term.get("settings", {}))
        trust.found(codes, run / "plan.json")
        trust.check(*codes)
        # Last: that it names code is what a user must know of an edited file.
        content = unsealed(content, run / "plan.json")
        starts = {name: start and Start(**start) for name, start in content["starts"].items()}
        pairs = [Pair(**pair) for pair in content["pairs"]]
        own = {field.name: content[field.name] for field in fields(cls) if field.name in content}
        return cls(**{**own, "pairs": pairs, "starts": starts})
