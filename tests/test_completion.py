"""Completion scripts: every command and option, in the words of the shell."""

import shutil
import subprocess

import pytest

from kantor.arguments import Parser
from kantor.cli import main
from kantor.command_options import OPTIONS
from kantor.completion import options_of, script


def known():
    parsers = {name: Parser() for name in ("export", "resume", "completion")}
    for name, parser in parsers.items():
        OPTIONS[name](parser)
    return options_of(parsers)


def completed(words: list[str], folder) -> list[str]:
    """What bash offers for the last of the words."""
    lines = [
        script("bash", known()), f"COMP_WORDS=({' '.join(repr(word) for word in words)})",
        f"COMP_CWORD={len(words) - 1}", "_kantor", 'printf "%s\\n" "${COMPREPLY[@]}"',
    ]  # fmt: skip
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    text = "\n".join(lines)
    ended = subprocess.run([bash, "-c", text], capture_output=True, text=True, cwd=folder, check=True)
    return ended.stdout.split()


def test_bash_offers_commands_options_values_and_files(tmp_path):
    (tmp_path / "runs").mkdir()
    assert completed(["kantor", "re"], tmp_path) == ["resume"]
    assert completed(["kantor", "export", "--inp"], tmp_path) == ["--input-shape"]
    assert completed(["kantor", "export", "--format", "o"], tmp_path) == ["onnx"]
    assert completed(["kantor", "resume", "ru"], tmp_path) == ["runs"]


def test_other_shells_are_told_the_same():
    assert "bashcompinit" in script("zsh", known())
    fish = script("fish", known())
    assert "complete -c kantor -n __fish_use_subcommand -f -a 'export resume completion'" in fish
    assert "-l format -x -a 'safetensors torch.export onnx hub'" in fish


def test_the_command_prints_it(capsys):
    assert main(["completion", "bash"]) == 0
    said = capsys.readouterr().out
    assert "complete -o filenames -F _kantor kantor" in said and "--labels-per-class" in said
