"""Which tokens are written alike."""

import pytest

from kantor.faculty.vocabulary.strings import string_pairs


def costs(teacher: list[bytes | None], student: list[bytes | None]) -> dict[tuple[int, int], float]:
    pairs, cost = string_pairs(tuple(teacher), tuple(student))
    return dict(zip(zip(pairs.rows.tolist(), pairs.columns.tolist(), strict=True), cost.tolist(), strict=True))


def test_the_same_costs_nothing_and_case_a_little() -> None:
    found = costs([b" film", None], [b" film", b"film", b" Film", None])
    assert found == {(0, 0): 0.0, (0, 1): 0.2, (0, 2): 0.2}


def test_the_longest_beginning_is_the_cheapest() -> None:
    found = costs([b" unbelievable"], [b" ", b" u", b" un", b" unbel", b" unbelievables", b"able"])
    assert (0, 5) not in found
    assert found[0, 4] == pytest.approx(0.25 + 0.25 / 14)  # the student's token is longer
    assert found[0, 3] == pytest.approx(0.25 + 0.25 * (1 - 6 / 13))
    assert found[0, 3] < found[0, 2] < found[0, 1] < found[0, 0] <= 1


def test_bytes_that_are_no_letters() -> None:
    assert costs([b"\xc3", b"\xc3\xa9"], [b"\xc3\xa9", b"\xa9"])[1, 0] == 0
