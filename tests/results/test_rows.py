import pytest

from kantor.results.rows import far_below, method_row, warnings
from kantor.results.statistics import TOO_FEW

FALL = {"epoch": 3, "signs": ["10.0 % right on the test part, no more than guessing"]}


def results(*accuracies, collapsed=()):
    return {
        seed: {"accuracy": accuracy, "seconds": 1.0, "collapse": FALL if seed in collapsed else None}
        for seed, accuracy in enumerate(accuracies)
    }


ALONE = results(0.7, 0.72, 0.71)


def test_a_difference_is_paired_by_seed():
    row = method_row(results(0.8, 0.8, 0.8), ALONE, judged=True)
    assert row["difference"]["mean"] == pytest.approx(0.09)
    assert row["collapsed"] == {}
    assert warnings({"kd": row}) == []


def test_a_mean_with_a_collapsed_student_is_no_gain_or_loss():
    row = method_row(results(0.8, 0.1, 0.8, collapsed=[1]), ALONE, judged=True)
    assert row["difference"] is None
    assert row["accuracy"] == [0.8, 0.1, 0.8]
    (said,) = warnings({"kd": row})
    assert said.startswith("kd: 1 of 3 students collapsed: seed 1 at epoch 3 (10.0 % right")
    assert "not shown as a gain or loss" in said


def test_nothing_is_compared_with_a_student_alone_that_collapsed():
    row = method_row(results(0.8, 0.8, 0.8), results(0.7, 0.1, 0.7, collapsed=[1]), judged=True)
    assert row["difference"] is None


def test_a_seed_far_from_its_fellows_is_named():
    accuracy = [0.85, 0.86, 0.249, 0.84, 0.85]
    assert far_below(list(range(5)), accuracy) == [2]
    assert far_below(list(range(5)), [0.85, 0.86, 0.80, 0.84, 0.85]) == []
    assert far_below([0, 1], [0.9, 0.1]) == []
    (said,) = warnings({"kd": method_row(results(*accuracy), results(*accuracy), judged=True)})
    assert "seed 2 at 24.9 %, far below the median of its seeds, 85.0 %" in said


def test_a_study_without_a_task_has_no_accuracies():
    row = method_row(results(None, None), {}, judged=False)
    assert row["accuracy"] is row["mean"] is row["difference"] is None


@pytest.mark.parametrize(("accuracy", "said"), [([0.8], []), ([0.8, 0.7], [TOO_FEW]), ([0.8, 0.7, 0.75], [])])
def test_two_seeds_are_said_to_be_too_few(accuracy, said):
    assert warnings({"none": method_row(results(*accuracy), {}, judged=True)}) == said
