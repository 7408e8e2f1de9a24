"""Which classes gained and lost."""

import numpy as np

from kantor.report.classes import Confusions, changes, confusions, ends, recall
from kantor.report.run import read_run


def test_counts_are_summed_over_seeds(made):
    found = confusions(read_run(made()))
    assert found is not None
    assert found.names[1] == "dog"
    assert found.counts["none"][0].tolist() == [80 + 82 + 81, 20 + 18 + 19, 0, 0]


def test_ordered_by_gain():
    alone = np.array([[8, 2, 0], [0, 5, 5], [0, 0, 10]])
    ours = np.array([[6, 4, 0], [0, 9, 1], [0, 0, 10]])
    found = changes(Confusions(["a", "b", "c"], {"none": alone, "kd": ours}), "kd")
    assert [(c.name, round(c.points)) for c in found] == [("b", 40), ("c", 0), ("a", -20)]


def test_class_without_samples_is_left_out():
    counts = np.array([[0, 0], [1, 3]])
    assert np.isnan(recall(counts)[0])
    assert [c.name for c in changes(Confusions(["a", "b"], {"none": counts, "kd": counts}), "kd")] == ["b"]


def test_nothing_to_compare_with():
    counts = np.eye(2, dtype=int)
    assert changes(Confusions(["a", "b"], {"kd": counts}), "kd") == []
    assert changes(Confusions(["a", "b"], {"none": counts, "kd": counts}), "none") == []


def test_many_classes_are_shortened_to_both_ends():
    names = [f"{k:03d}" for k in range(100)]
    counts = 10 * np.eye(100, dtype=int) + 1
    ours = counts + np.diag(np.arange(100))
    found = ends(changes(Confusions(names, {"none": counts, "kd": ours}), "kd"))
    assert [c.name for c in found] == [*names[:-11:-1], *names[9::-1]]


def test_unknown_names_are_numbers(made):
    run = made()
    (run / "step0.json").unlink()
    found = confusions(read_run(run))
    assert found is not None
    assert found.names == ["0", "1", "2", "3"]
