"""The page of a ranking: the recommendation, every teacher with its interval, and whom it could not judge."""

import pytest

from kantor.core.errors import DataError
from kantor.report import write_ranking


def test_a_ranking(tmp_path, ranked):
    ranking = ranked(tmp_path)
    page = write_ranking(tmp_path).read_text()
    assert page.count("<h1") == 1
    assert ">Pick near (by transport).</h1>" in page
    for said in ranking.recommendation.rstrip(".").split("; ")[1:]:
        assert said in page
    for place in ranking.scores["transport"]:
        assert f'aria-label="{place.teacher}: {place.score:.4g}, 95 % interval' in page
    assert "&lt;it&gt; is missing" in page
    assert "<script src" not in page
    assert "3 ranked of 4" in page


def test_elsewhere_and_nothing(tmp_path, ranked):
    with pytest.raises(DataError, match="a ranking as `kantor rank` wrote it"):
        write_ranking(tmp_path)
    ranked(tmp_path)
    assert write_ranking(tmp_path, tmp_path / "page.html").name == "page.html"
