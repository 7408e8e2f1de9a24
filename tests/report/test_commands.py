"""``kantor report`` and ``kantor watch``."""

import pytest

from kantor.cli import main


def test_report(made, tmp_path, capsys):
    run = made()
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"Wrote {run / 'report.html'}\n"
    assert main(["report", str(run), str(made(name="other")), "--output", str(tmp_path / "both.html")]) == 0
    assert "Side by side" in (tmp_path / "both.html").read_text()


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
