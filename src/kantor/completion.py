"""Completion of commands and options for shells: a script that names them all, so that no key waits for Python."""

import argparse
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

Shell = Literal["bash", "zsh", "fish"]
Options = Mapping[str, Mapping[str, list[str]]]
"""By command, its options, each with the values that it takes where they are few."""


def options_of(parsers: Mapping[str, argparse.ArgumentParser]) -> Options:
    """The options of every command, as they are typed."""
    return {
        name: {
            "--" + long[2:].replace("_", "-"): _values(getattr(action, "_typehint", None))
            for action in parser._actions
            for long in action.option_strings
            if long.startswith("--") and not long.endswith("+")
        }
        for name, parser in parsers.items()
    }


def _values(kind: Any) -> list[str]:
    """The words that an option of such a type takes; none where it takes others too."""
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    return []


def script(shell: Shell, options: Options) -> str:
    """What a shell's start file is to run, for ``kantor``; everywhere else it completes files."""
    return _fish(options) if shell == "fish" else _bash(options, zsh=shell == "zsh")


def _bash(options: Options, *, zsh: bool) -> str:
    cases = "\n".join(f'        {name}) known="{" ".join(own)}" ;;' for name, own in options.items())
    values = "\n".join(
        f'        {name}:{option}) COMPREPLY=($(compgen -W "{" ".join(choices)}" -- "$word")); return ;;'
        for name, own in options.items()
        for option, choices in own.items()
        if choices
    )
    return f"""{"autoload -U +X bashcompinit && bashcompinit" if zsh else ""}
_kantor() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" known=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{" ".join(options)} --help --version" -- "$word")); return
    fi
    case "${{COMP_WORDS[1]}}:$before" in
{values or "        :) ;;"}
    esac
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    case "$word" in
        -*) COMPREPLY=($(compgen -W "$known" -- "$word")) ;;
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}}
complete -o filenames -F _kantor kantor
""".lstrip()


def _fish(options: Options) -> str:
    lines = [f"complete -c kantor -n __fish_use_subcommand -f -a '{' '.join(options)}'"]
    for name, own in options.items():
        for option, choices in own.items():
            values = f" -x -a '{' '.join(choices)}'" if choices else ""
            lines.append(f"complete -c kantor -n '__fish_seen_subcommand_from {name}' -l {option[2:]}{values}")
    return "\n".join(lines) + "\n"
