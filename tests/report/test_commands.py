"""``kantor report`` and ``kantor watch``."""

import pytest

from kantor.cli import main


def test_report(made, tmp_path, capsys):
    run = made()
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"Wrote {run / 'report.html'}\n"
    assert main(["report", str(run), str(made(name="other")), "--output", str(tmp_path / "both.html")]) == 0
    assert "Side by side" in (tmp_path / "both.html").read_text()


def test_report_of_a_comparison_and_of_a_ranking(compared, ranked, made, tmp_path, capsys):
    """Rebuilt from files alone; neither goes beside a run."""
    for name, make, words in (("a", compared, "they disagree on"), ("b", ranked, "is not distinguishable from")):
        folder = tmp_path / name
        folder.mkdir()
        make(folder)
        assert main(["report", str(folder)]) == 0
        assert capsys.readouterr().out == f"Wrote {folder / 'report.html'}\n"
        assert words in (folder / "report.html").read_text()
        assert main(["report", str(made(name=f"run-{name}")), str(folder)]) == 2
        assert "by itself" in capsys.readouterr().err


def test_report_of_an_analysed_run(analysed, made, tmp_path):
    run = made()
    analysed(run)
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "<em>kd</em> ends closest to the teacher" in page
    assert 'href="analysis.html"' in page
    assert 'data-chart="r0-moved-0-distance"' in page
    assert (run / "analysis.html").is_file()
    assert main(["report", str(run), str(made(name="other")), "--output", str(tmp_path / "all" / "both.html")]) == 0
    assert 'href="../run/analysis.html"' in (tmp_path / "all" / "both.html").read_text()


@pytest.mark.parametrize("command", ["report", "watch"])
def test_no_run(command, tmp_path, capsys):
    assert main([command, str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_watch(made, capsys):
    assert main(["watch", str(made()), "--once"]) == 0
    assert "9 of 9 students finished" in capsys.readouterr().out


def test_tables_are_never_cut(capsys, monkeypatch):
    from kantor.losses import LOSSES

    monkeypatch.setenv("COLUMNS", "40")
    assert main(["methods"]) == 0
    said = capsys.readouterr().out
    assert "…" not in said
    for loss in LOSSES.values():
        assert loss.name in said
        assert loss.paper in said


def test_an_interrupt_is_said_without_a_traceback(made, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kantor.report.write", interrupted)
    assert main(["report", str(made())]) == 130
    assert "kantor: Interrupted" in capsys.readouterr().err
