import numpy as np
import pytest

from kantor.tasks import Scale
from kantor.training.checkpoint import Position
from kantor.training.collapse import Collapse, guesses, hopeless, verdict
from kantor.training.evaluate import Scores


def scores(confusion):
    counts = np.array(confusion)
    return Scores({"accuracy": float(np.trace(counts) / counts.sum())}, 1.0, int(counts.sum()), confusion)


def drawn(accuracy, classes=10, samples=2000, seed=0):
    """Right as often as asked for, and otherwise any class."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(classes, size=samples)
    said = np.where(generator.random(samples) < accuracy, targets, generator.integers(classes, size=samples))
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (targets, said), 1)
    return scores(confusion.tolist())


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_one_answer_for_every_sample_is_guessing(classes):
    confusion = np.zeros((classes, classes), int)
    confusion[:, 0] = 20
    assert guesses(scores(confusion.tolist()))


@pytest.mark.parametrize("seed", range(5))
def test_a_little_learned_is_no_guessing(seed):
    assert not guesses(drawn(0.1, seed=seed))  # 19 % right, where guessing gives 10


def test_a_rare_class_learned_is_no_guessing():
    # A constant answer would be right on 90 %; this one is right on 80 % and finds the rare class.
    assert not guesses(scores([[720, 180], [20, 80]]))
    assert guesses(scores([[900, 0], [100, 0]]))


def test_few_samples_are_no_evidence_of_having_learned():
    assert guesses(scores([[1, 1], [1, 1]]))


@pytest.mark.parametrize(("confusion", "guessed"), [([[7, 3], [2, 8]], False), ([[6, 4], [4, 6]], True)])
def test_few_samples_are_no_evidence_of_collapse_either(confusion, guessed):
    assert guesses(scores(confusion)) is guessed  # 15 and 12 right of 20


def ended(since, accuracy, best, best_epoch, losses):
    return Position(
        since=since,
        reached=accuracy,
        best=best,
        best_epoch=best_epoch,
        first_loss=losses[0],
        last_loss=losses[1],
    )


def test_what_is_said_of_a_student_that_fell():
    good, fallen = drawn(0.7), scores([[0, 0, 50]] * 3)
    assert verdict(good, ended(0, 0.7, 0.7, 2, (1.0, 0.5))) is None
    end = verdict(fallen, ended(3, 1 / 3, 0.7, 2, (1.0, 1.2)))
    assert end is not None
    assert end.epoch == 3
    assert [sign.split(" ")[0] for sign in end.signs] == ["33.3", "one", "fell", "task"]
    # The best epoch's student is kept and good; that training fell all the same is said.
    kept = verdict(good, ended(5, 0.1, 0.7, 4, (1.0, 0.9)))
    assert kept is not None
    assert kept.epoch == 5
    assert Collapse.parse({"epoch": end.epoch, "signs": end.signs}) == end


def test_a_small_validation_part_at_chance_is_no_collapse_of_a_student_that_is_good():
    assert verdict(drawn(0.3), ended(4, 0.25, 0.3, 3, (2.0, 1.0))) is None
    # Two right of ten, then one: no epoch was better than guessing, so nothing fell.
    assert verdict(drawn(0.3), ended(1, 0.1, 0.2, 1, (2.0, 1.0))) is None


@pytest.mark.parametrize(
    ("since", "epoch", "expected"), [(0, 30, False), (1, 3, False), (1, 10, True), (28, 30, False), (27, 30, True)]
)
def test_when_going_on_is_of_no_use(since, epoch, expected):
    assert hopeless(since, epoch, 30) is expected


def test_how_it_is_said():
    assert str(Collapse(3, ["one class for every sample"])) == "at epoch 3 (one class for every sample)"
    assert str(Collapse(None, ["10.0 % right"])) == "10.0 % right"


def test_without_a_validation_part_nothing_falls():
    assert verdict(drawn(0.7), Position(first_loss=1.0, last_loss=0.5)) is None
    assert verdict(None, Position()) is None


def test_where_outputs_name_no_class_nothing_is_known_of_guessing():
    scale = Scale("RMSE", higher_is_better=False)
    far_off = Scores({"RMSE": 9.0}, 81.0, 50, [], (scale,))
    assert not guesses(far_off)
    assert verdict(far_off, Position(reached=9.0, best=0.1, best_epoch=1), scale) is None


def test_what_is_said_speaks_the_tasks_metric():
    scale = Scale("mIoU", "%")
    one = Scores({"mIoU": 0.25}, 1.0, 50, [[25, 0], [25, 0]], (scale,))
    end = verdict(one, ended(2, 0.25, 0.6, 1, (1.0, 0.5)), scale)
    assert end is not None
    assert end.signs[0] == "mIoU 25.0 % on the test part, no more than guessing"
    assert end.signs[-1] == "fell from 60.0 to mIoU 25.0 % on the validation part"
