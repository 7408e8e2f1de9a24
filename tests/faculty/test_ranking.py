"""Places, margins, words, and the file."""

import numpy as np
import pytest

from kantor.core.errors import ConfigError, DataError
from kantor.faculty.ranking import Judged, Ranking, places, recommendation
from kantor.faculty.show import tables

NOISE = np.random.default_rng(0).standard_normal(200)


def example() -> Ranking:
    values = {"a": -0.5, "b": -0.52, "c": -1.0}
    draws = {"a": -0.5 + 0.1 * NOISE, "b": -0.52 + 0.1 * NOISE[::-1], "c": -1 + 0.1 * NOISE}
    found = places(values, draws)
    teachers = [Judged(n, f"cnn:{n}.safetensors", scores={"transport": v}, passes=10) for n, v in values.items()]
    teachers.append(Judged("d", "cnn:d.safetensors", error="<it> is missing"))
    return Ranking("data", "train", 80, "learned", {"transport": found}, teachers, recommendation(found, "transport"))


def test_order_and_margins():
    first, second, third = example().scores["transport"]
    assert [p.teacher for p in (first, second, third)] == ["a", "b", "c"]
    assert first.margin == pytest.approx(0.02)
    assert first.margin_interval[0] < 0 < first.margin_interval[1]
    assert second.margin_interval[0] > 0
    assert third.margin is None
    assert (first.behind, third.behind) == (0, pytest.approx(0.5))
    # a and c move together over resamples, so their gap is certain.
    assert third.behind_interval == pytest.approx((0.5, 0.5), abs=1e-9)


def test_words_name_whom_to_pick_who_is_alike_and_who_is_worse():
    said = example().recommendation
    assert said == "Pick a (by transport); b is not distinguishable from it; c is worse by 0.5 (0.5 to 0.5)."
    assert "only one" in recommendation(example().scores["transport"][:1], "leep")
    assert "No teacher" in recommendation([], "leep")


def test_file(tmp_path):
    ranking = example()
    ranking.write(tmp_path / "ranking.json")
    again = Ranking.read(tmp_path / "ranking.json")
    assert again.order == ["a", "b", "c"]
    assert [t.name for t in again.best(2)] == ["a", "b"]
    assert again.recommendation == ranking.recommendation
    assert again.scores["transport"][1].margin_interval[0] > 0
    with pytest.raises(ConfigError, match="3 teachers"):
        again.best(4)
    assert tables(again)[0].row_count == 3
    (tmp_path / "ranking.json").write_text('{"data": 1}')
    with pytest.raises(DataError, match="a ranking as `kantor rank` wrote it"):
        Ranking.read(tmp_path / "ranking.json")
