"""What is known of many students' neurons, gathered over seeds and compared with the student alone."""

import io
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from rich.console import Console

from kantor.analysis import Matching, Matrices, PairFound, Trajectory, reallocation
from kantor.analysis.records import MEASURES
from kantor.results.movement import Analysed, over_seeds, table
from kantor.results.statistics import TOO_FEW

COST = torch.tensor([[0.0, 1.0], [1.0, 0.0]])


def student(method: str, seed: int, moved: float, epochs: tuple[int, ...] = (0, 1, 2)) -> Analysed:
    """One whose neurons are ``moved`` (a share) to the partner of another number, more with every epoch."""

    def plan(share: float) -> torch.Tensor:
        return (1 - share) * torch.eye(2) / 2 + share * (1 - torch.eye(2)) / 2

    at_end = reallocation(plan(moved), COST)
    pair = PairFound(
        "layer1", "layer2", Matching(COST, plan(moved), (1, 0)), at_end, 1 - moved, (torch.zeros(2, 1),) * 2
    )
    recorded = [asdict(reallocation(plan(moved * epoch / 2), COST, first=plan(0.0))) for epoch in epochs]
    values = {name: [found[name] for found in recorded] for name in MEASURES}
    values["changed_since_previous"][0] = None
    trajectory = Trajectory("layer2", "teacher:layer1", (2, 2), False, list(epochs), values)
    matrices = Matrices(["layer1"], ["layer2"], [[moved]], [[1 - moved]])
    return Analysed(method, seed, [trajectory], {"teacher": matrices}, {"teacher": [pair]}, f"{method}-{seed}.npz")


STUDENTS = [student(*one) for one in (("none", 0, 0.5), ("none", 1, 0.75), ("kd", 0, 0.25), ("kd", 1, 0.25))]


def printed(content: dict) -> list[str]:
    to = Console(file=io.StringIO(), width=200)
    to.print(table(content))
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue().splitlines()


def test_final_students_are_means_over_seeds_paired_with_the_student_alone():
    found = over_seeds(STUDENTS)
    assert list(found) == ["none", "kd"]
    assert (found["kd"]["seeds"], found["kd"]["neurons"]) == ([0, 1], ["kd-0.npz", "kd-1.npz"])
    final = found["kd"]["final"]["teacher"]
    assert final["layers"] == {"teacher": ["layer1"], "student": ["layer2"]}
    assert (final["distance"], final["cka"]) == ([[0.25]], [[0.75]])
    (pair,) = final["pairs"]
    assert (pair["teacher"], pair["student"], pair["widths"], pair["silent"]) == (
        "layer1",
        "layer2",
        [2, 2],
        [[1, 0]] * 2,
    )
    distance = pair["measures"]["distance"]
    assert distance["last"] == pytest.approx([0.25, 0.25])
    assert distance["difference"]["to"] == "none"
    assert distance["difference"]["mean"] == pytest.approx(-0.375)
    # Differences -0.25 and -0.5: the t interval of two is the mean -+ 12.7062 times half their distance.
    assert distance["difference"]["interval"] == pytest.approx((-0.375 - 1.588, -0.375 + 1.588), abs=1e-3)
    alone = found["none"]["final"]["teacher"]["pairs"][0]["measures"]["distance"]
    assert alone["difference"] is None and alone["mean"] == pytest.approx(0.625)


def test_recorded_plans_are_over_the_epochs_that_all_seeds_have():
    found = over_seeds([student("kd", 0, 0.5), student("kd", 1, 0.5, epochs=(0, 2, 3))])["kd"]["recorded"]
    (pair,) = found
    assert (pair["student"], pair["teacher"], pair["epochs"]) == ("layer2", "teacher:layer1", [0, 2])
    assert pair["measures"]["distance"]["seeds"] == [pytest.approx([0.0, 0.5])] * 2
    previous = pair["measures"]["changed_since_previous"]
    assert previous["seeds"][0][0] is None


def test_only_seeds_of_both_sides_are_compared():
    found = over_seeds([student("none", 1, 0.5), student("kd", 0, 0.9), student("kd", 1, 0.25)])
    difference = found["kd"]["final"]["teacher"]["pairs"][0]["measures"]["distance"]["difference"]
    assert difference == {"to": "none", "mean": pytest.approx(-0.25), "interval": None}
    without = over_seeds([student("kd", 0, 0.9)])["kd"]["final"]["teacher"]["pairs"][0]["measures"]["distance"]
    assert without["difference"] is None


def test_the_table_tells_who_moved():
    said = "\n".join(printed({"methods": over_seeds(STUDENTS)}))
    row = next(line for line in said.splitlines() if line.startswith("│ kd"))
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "kd", "0.250", "-0.375", "-1.963 to +1.213", "0.0", "0.750", "0.0", "2",
    ]  # fmt: skip
    assert TOO_FEW in " ".join(said.split())


def test_where_no_plans_were_recorded_it_is_said():
    bare = [Analysed("kd", 0, [], one.matrices, one.found, "f") for one in STUDENTS[:1]]
    assert "No plans were recorded" in " ".join(printed({"methods": over_seeds(bare)}))


def test_what_is_gathered_is_plain_data(tmp_path: Path):
    from kantor.analysis.file_types import Analysis
    from kantor.core.files import write_json
    from kantor.core.reading import read_json

    content = {
        "run": "r", "students": {"analysed": 4, "asked": 4}, "probe": {"part": "validation", "samples": 9},
        "cost": "correlation", "cka": "linear, debiased", "methods": over_seeds(STUDENTS), "samples": None,
    }  # fmt: skip
    write_json(tmp_path / "analysis.json", content)
    read = read_json(tmp_path / "analysis.json", Analysis)
    assert read["methods"]["kd"]["final"]["teacher"]["pairs"][0]["measures"]["distance"]["mean"] == pytest.approx(0.25)
