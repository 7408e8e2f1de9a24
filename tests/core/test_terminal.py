"""Names are text to a terminal, whatever stands in them."""

import io
import json
from pathlib import Path

from rich.table import Table

from kantor.cli import main
from kantor.core.terminal import Terminal

NAMES = ("[/a]", "[red]b", ":dog:", "\x1b[31mc\x1b]0;title\x07")


def test_a_console_prints_names_as_they_are():
    file = io.StringIO()
    console = Terminal(file=file, width=200, force_terminal=True, color_system=None)
    table = Table(*NAMES, title="[/title] \x1b[2J")
    table.add_row(*NAMES)
    console.print(table)
    console.print(*NAMES)
    printed = file.getvalue()
    assert printed.count("[/a]") == printed.count("[red]b") == printed.count(":dog:") == 3
    assert "[/title]" in printed
    assert "\x1b]" not in printed and "\x1b[2J" not in printed and "\x1b[31m" not in printed


def test_a_study_with_markup_in_every_name_ends_with_its_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    methods = [{"name": "none"}, {"name": "m[/x]", "task": 1}, {"name": "kd:dog:[red]", "task": 0.5}]
    Path("c.yaml").write_text(json.dumps({"methods": methods}))
    out = "runs/a[/b]"
    arguments = ["--data=digits", "--train-limit=60", "--epochs=1", "--seeds=1", "--jobs=1", "--student=cnn@width=4"]
    assert main(["distill", "--config=c.yaml", *arguments, f"--out={out}"]) == 0
    printed = capsys.readouterr().out
    assert "m[/x]" in printed and "kd:dog:[red]" in printed and f"The run is in {out}" in printed
    assert Path(out, "m[_x]", "seed-0", "result.json").exists()
    for command in (["watch", "--once", out], ["probe", out], ["resume", out], ["report", out]):
        assert main(command) == 0
        assert "a[/b]" in capsys.readouterr().out


def test_watch_prints_no_escape_sequence_of_a_foreign_run(tmp_path, capsys):
    run = tmp_path / "run\x1b[31m"
    run.mkdir()
    (run / "config.yaml").write_text('data: digits\nstudent: cnn\nmethods: [{name: "\\e[31mred", task: 1}]\nseeds: 1\n')
    assert main(["watch", "--once", str(run)]) == 2
    (run / "config.yaml").write_text("data: digits\nstudent: cnn\nmethods: none\nseeds: 1\n")
    assert main(["watch", "--once", str(run)]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
