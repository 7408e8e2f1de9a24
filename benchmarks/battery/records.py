"""The battery's results in one file: what is in it is not run again."""

import json
from pathlib import Path
from typing import TypedDict

from kantor.losses import NeuronTransport
from kantor.objective.weights import LIMIT, LIMIT_ADAMW
from kantor.training import Training


class Student(TypedDict):
    """What became of one student: its test accuracy, None where it diverged, and whether it collapsed."""

    accuracy: float | None
    collapsed: bool


Students = dict[str, Student]
"""By method."""
Results = dict[str, dict[str, dict[str, Students]]]
"""By case, policy and seed."""


def read_results(path: Path) -> Results:
    """What ``path`` holds of today's defaults; nothing where there is no such file."""
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if held.get("defaults") != defaults():
        if held:
            print(f"{path.name} is of other defaults ({held.get('defaults')}), and all is run anew.", flush=True)
        return {}
    return held["cases"]


def write_results(path: Path, results: Results) -> None:
    """Write what is known, with the defaults that it is of."""
    path.write_text(json.dumps({"defaults": defaults(), "cases": results}, indent=1) + "\n", encoding="utf-8")


def defaults() -> dict[str, float | None]:
    """What decides how hard transfer pulls, and how far a step goes."""
    return {
        "limit": LIMIT,
        "limit under AdamW": LIMIT_ADAMW,
        "clip": Training().clip,
        "stages of neuron transport": NeuronTransport().usual_stages,
    }
