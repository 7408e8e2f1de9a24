import pytest

from kantor.results import rows
from kantor.results.rows import far_off, method_row, validation_value, values_of, warnings
from kantor.results.statistics import TOO_FEW
from kantor.tasks import Scale
from kantor.tasks.scale import ACCURACY

FALL = {"epoch": 3, "signs": ["10.0 % right on the test part, no more than guessing"]}


def results(*accuracies, collapsed=()):
    return {
        seed: {"accuracy": accuracy, "seconds": 1.0, "collapse": FALL if seed in collapsed else None}
        for seed, accuracy in enumerate(accuracies)
    }


ALONE = results(0.7, 0.72, 0.71)


def test_a_difference_is_paired_by_seed():
    row = method_row(results(0.8, 0.8, 0.8), ALONE, ACCURACY)
    assert row["difference"]["mean"] == pytest.approx(0.09)
    assert row.get("collapsed") == {}
    assert warnings({"kd": row}, ACCURACY) == []


def test_a_mean_with_a_collapsed_student_is_no_gain_or_loss():
    row = method_row(results(0.8, 0.1, 0.8, collapsed=[1]), ALONE, ACCURACY)
    assert row["difference"] is None
    assert row["accuracy"] == [0.8, 0.1, 0.8]
    (said,) = warnings({"kd": row}, ACCURACY)
    assert said.startswith("kd: 1 of 3 students collapsed: seed 1 at epoch 3 (10.0 % right")
    assert "not shown as a gain or loss" in said


def test_nothing_is_compared_with_a_student_alone_that_collapsed():
    row = method_row(results(0.8, 0.8, 0.8), results(0.7, 0.1, 0.7, collapsed=[1]), ACCURACY)
    assert row["difference"] is None


def test_a_seed_far_from_its_fellows_is_named():
    accuracy = [0.85, 0.86, 0.249, 0.84, 0.85]
    assert far_off(list(range(5)), accuracy, ACCURACY) == [2]
    assert far_off(list(range(5)), [0.85, 0.86, 0.80, 0.84, 0.85], ACCURACY) == []
    assert far_off([0, 1], [0.9, 0.1], ACCURACY) == []
    (said,) = warnings({"kd": method_row(results(*accuracy), results(*accuracy), ACCURACY)}, ACCURACY)
    assert "seed 2 at 24.9 %, far below the median of its seeds, 85.0 %" in said


def test_a_study_without_a_task_has_no_accuracies():
    row = method_row(results(None, None), {}, None)
    assert row["accuracy"] is row["mean"] is row["difference"] is None


@pytest.mark.parametrize(("accuracy", "said"), [([0.8], []), ([0.8, 0.7], [TOO_FEW]), ([0.8, 0.7, 0.75], [])])
def test_two_seeds_are_said_to_be_too_few(accuracy, said):
    assert warnings({"none": method_row(results(*accuracy), {}, ACCURACY)}, ACCURACY) == said


ERROR = Scale("RMSE", "m", higher_is_better=False)


def errors(*values):
    return {
        seed: {"accuracy": None, "metrics": {"RMSE": value, "R2": 0.5}, "validation": value, "seconds": 1.0}
        for seed, value in enumerate(values)
    }


def test_a_row_is_of_the_tasks_metric():
    row = method_row(errors(0.4, 0.5, 0.6), errors(0.5, 0.5, 0.8), ERROR)
    assert row.get("values") == values_of(row) == [0.4, 0.5, 0.6]
    assert row["accuracy"] is row.get("validation_accuracy") is None
    assert row.get("validation") == [0.4, 0.5, 0.6]
    assert row["difference"]["mean"] == pytest.approx(-0.1)
    assert row.get("others") == {"R2": 0.5}


def test_far_off_is_far_above_where_lower_is_better():
    values = [0.4, 0.41, 2.0, 0.4, 0.05]
    assert far_off(list(range(5)), values, ERROR) == [2]
    (said,) = warnings({"kd": method_row(errors(*values), {}, ERROR)}, ERROR)
    assert "seed 2 at 2.0 m, far above the median of its seeds, 0.40 m" in said


def test_results_from_before_there_were_tasks_are_read():
    old = {"accuracy": 0.8, "validation_accuracy": 0.7, "seconds": 1.0}
    assert rows.test_value(old, ACCURACY) == 0.8
    assert validation_value(old) == 0.7
    assert values_of({"accuracy": [0.8]}) == [0.8]
