"""The section on linear probes: by data set and layer, the results table with what probes reached in it."""

from dataclasses import dataclass, replace

from kantor.report.run import ALONE, Run
from kantor.report.table import Table, results
from kantor.results.records import Probed, ProbedRow
from kantor.tasks import Scale


@dataclass(frozen=True)
class Probe:
    """Probes on one data set."""

    title: str
    bases: list[tuple[str, str]]
    """What methods are compared with: a method's name, and what it is."""
    base: str
    """The one that the tables' differences are to."""
    layers: list[tuple[str, Table]]
    others: list[list[str]]
    """Differences to the other bases at the last layer: method, base, points, interval."""


def probed(run: Run) -> list[Probe]:
    """Every data set's probes, as the page shows them."""
    return [_probe(run, found) for found in run.probes.values()]


def _probe(run: Run, found: Probed) -> Probe:
    methods, bases = found["methods"], found["bases"]
    base, scale = next(iter(bases)), Scale.parse(found.get("metric"))
    layers = list(dict.fromkeys(layer for rows in methods.values() for layer in rows))
    tables = []
    for layer in layers:
        rows = {
            name: {**rows[layer], "difference": rows[layer]["differences"].get(base), "seconds": _seconds(found, name)}
            for name, rows in methods.items()
            if layer in rows
        }
        # The results table marks the run's base by its name.
        renamed = {ALONE if name == base and not run.judged else name: row for name, row in rows.items()}
        task = "labels" if run.config.get("task") == "none" else run.config.get("task", "labels")
        judged = replace(
            run, config=run.config | {"task": task}, summary={"methods": renamed, "metric": scale.record()}
        )
        tables.append((layer, results([judged])))
    return Probe(_title(found), list(bases.items()), base, tables, _others(methods, list(bases)[1:], scale))


def _title(found: Probed) -> str:
    parts = ", ".join(f"{count:,} {name}" for name, count in found["samples"].items())
    return f"{found['data']} ({parts}; {found['classes']} classes)"


def _seconds(found: Probed, method: str) -> float:
    taken = [kept["seconds"] for kept in found["students"][method].values()]
    return sum(taken) / len(taken)


def _others(methods: dict[str, dict[str, ProbedRow]], bases: list[str], scale: Scale) -> list[list[str]]:
    rows = []
    for base in bases:
        for name, by_layer in methods.items():
            layer, row = list(by_layer.items())[-1]
            if (difference := row["differences"].get(base)) is not None:
                between = difference["interval"]
                spread = scale.interval(between, signed=True)
                rows.append([name, layer, base, scale.signed(difference["mean"]), spread])
    return rows
