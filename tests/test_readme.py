"""What the README shows works."""

import re
import shlex
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python(number, capsys):
    exec(compile(blocks("python")[number], f"README.md, python block {number}", "exec"), {})


def test_commands_parse():
    from kantor.cli import _parser

    lines = "\n".join(blocks("sh")).replace("\\\n", "").splitlines()
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("kantor ")]
    assert len(commands) >= 4
    parser, _ = _parser()
    for command in commands:
        parser.parse_args(command)


def test_links_lead_somewhere():
    targets = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert targets
    for target in targets:
        assert (Path(__file__).parents[1] / target).exists(), target
