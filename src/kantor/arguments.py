"""Command lines as people write them: ``--train-limit``, lists as ``1,3``, settings by YAML, and messages that fit."""

import ast
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import jsonargparse
import yaml

from kantor.core.errors import suggest
from kantor.core.names import printable
from kantor.core.reading import parse_yaml, read_yaml
from kantor.core.shape import Misfit, fitted

_LISTS = ("--tune", "--tune_lr", "--tune_seeds", "--teacher_weights", "--seeds", "--input_shape")
"""Options that take numbers separated by commas."""


def _value(text: str) -> Any:
    """A value, or a file of settings, from YAML."""
    found = parse_yaml(text)
    # ``{a, b}`` and ``a:`` are YAML for mappings to nothing, and people's for text.
    if isinstance(found, dict) and found and all(value is None for value in found.values()):
        names = text.strip(" {}").replace(" ", "").split(",")
        if {*names} == {*found} or text.strip() == f"{next(iter(found))}:":
            return text
    return found


jsonargparse.set_loader("yaml", _value, exceptions=(yaml.YAMLError,))


class Parser(jsonargparse.ArgumentParser):
    """Takes and shows ``--train-limit`` where the setting is ``train_limit``, and ``1,3`` for a list of numbers."""

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **kwargs: Any) -> Any:
        """Options by name, each as its setting is typed.

        Raises:
            DataError: a file of settings cannot be read; names it, as the parser would not.
        """
        given = [_underscored(argument) for argument in (sys.argv[1:] if args is None else args)]
        for before, argument in zip(["", *given], given, strict=False):
            option, _, value = argument.partition("=") if before != "--config" else (before, "", argument)
            if option == "--config" and Path(value).is_file():
                read_yaml(Path(value), dict[str, Any], "It holds settings, as NAME: VALUE on lines of their own.")
        given = _bracketed(given) if given[:1] in (["distill"], ["finetune"], ["export"]) else given
        return super().parse_args(given, *more, **kwargs)

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """The help, with dashes."""
        return _dashed(super().format_help(*args, **kwargs))

    def format_usage(self, *args: Any, **kwargs: Any) -> str:  # noqa: ARG002
        """Nothing."""
        return ""  # printed with every error, which fifty options would push off the screen

    def error(self, message: str, *args: Any, **kwargs: Any) -> NoReturn:
        """Say what is wrong, with what is close to an option that is not known; exit status 2."""
        known = [name for action in self._actions for name in action.option_strings if not name.endswith("+")]
        if message.startswith("unrecognized arguments") and (unknown := re.search(r" (--\w+)", message)):
            message = f"{_dashed(message)}. {_dashed(suggest(unknown[1], known))}"
        super().error(printable(_shortened(message)), *args, **kwargs)


def _shortened(message: str) -> str:
    """What is wrong with a value and where, for the parser's account of every type that it is not of."""
    key, given = re.match(r'Parser key "(\w+)":', message), re.findall(r"^ *Given value: (.*)$", message, re.MULTILINE)
    if key is None or not given:
        return message
    from kantor.study.settings.study import Study  # here, since it draws in torch

    shape = get_type_hints(Study).get(key[1], Any)
    try:
        fitted(ast.literal_eval(given[-1]), shape, key[1])
    except Misfit as error:
        return f"{error}."
    except (ValueError, SyntaxError):
        pass
    return f"{key[1]} is {given[-1]}, of no form that it takes."


def _underscored(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name[:2] + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument


def _bracketed(arguments: list[str]) -> list[str]:
    """``--tune 1,3`` as ``--tune [1,3]``, which is how the parser reads a list. ``--seeds 5`` stays a number."""
    found: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name, equals, value = argument.partition("=") if argument.startswith("--") else (before, "", argument)
        if name in _LISTS and re.fullmatch(r"[\d.e+-]+(, *[\d.e+-]*)*", value) and ("," in value or name != "--seeds"):
            argument = f"{name}=[{value}]" if equals else f"[{value}]"
        found.append(argument)
    return found


def _dashed(text: str) -> str:
    return re.sub(r"--[a-z_]+", lambda match: match.group().replace("_", "-"), text)
