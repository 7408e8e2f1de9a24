"""Random damage: to bytes, to text, to values and to trees of them. All draws come from the ``rng`` given."""

import json
import math
import random
from typing import Any

import yaml

SENTINEL = "SENTINEL"
"""In texts: the file that code which was run would make."""

TEXTS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1e999",
        "nan",
        "inf",
        "-inf",
        "null",
        "true",
        "[]",
        "{}",
        "[1,2]",
        "a=b",
        "four",
        "1,2",
        "&a",
        "*a",
    ),
    *(
        "..",
        ".",
        "/",
        "../../x",
        "plan.json",
        "a" * 300,
        "\n",
        "\x1b[31m",
        "[/a]",
        "[bold]",
        "é\u0301",
        "\udcff",
        "\x00",
        "%s",
    ),
    *(
        "!!python/object/apply:os.system ['touch SENTINEL']",
        "os:system@command='touch SENTINEL'",
        "os:system",
        "json:loads",
    ),
    *(
        "best:x.json",
        "resnet8:",
        ":",
        "@",
        "@=",
        "resnet8@width=",
        "timm:",
        "transformers:nowhere",
        "mlp@hidden=-3",
        "9" * 40,
    ),
    *("[" * 200, "{" * 50, "&a [*a]", "- 1\n- 2", "kd:auto=", "+", "a,,b", "=", "digits", "kd", "none", "all", "auto"),
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    3.5,
    1e308,
    -0.0,
    math.inf,
    math.nan,
    2**70,
    [],
    {},
    [[]],
    {"a": 1},
    "",
)


def text(rng: random.Random, given: str) -> str:
    """One of the odd texts, or ``given`` with a few characters changed."""
    if rng.random() < 0.5 or not given:
        return rng.choice(TEXTS)
    letters = list(given)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(letters) + 1)
        what = rng.choice(
            ("@", ":", "=", ",", "+", "-", ".", "0", "9", "e", "[", "]", "{", "&", "/", " ", "x", "\n", *TEXTS)
        )
        letters[place : place + rng.randint(0, 2)] = [what]
    return "".join(letters)


def content(rng: random.Random, given: bytes) -> bytes:
    """Bytes flipped, cut, doubled, emptied or put in."""
    if not given:
        return rng.randbytes(rng.randint(0, 40))
    place = rng.randrange(len(given))
    how = rng.randrange(7)
    if how == 0:
        return given[:place]
    if how == 1:
        return b""
    if how == 2:
        return given[:place] + rng.randbytes(rng.randint(1, 30)) + given[place:]
    if how == 3:
        other = rng.randrange(len(given))
        return given[: min(place, other)] + given[max(place, other) :]
    if how == 4:
        return rng.randbytes(rng.randint(1, 300))
    changed = bytearray(given)
    for _ in range(rng.choice((1, 1, 3, 20))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def tree(rng: random.Random, given: Any) -> Any:
    """A tree of lists and mappings with one thing changed: a value, a key, a missing or doubled entry."""
    if isinstance(given, dict) and given and rng.random() < 0.9:
        key = rng.choice(list(given))
        how = rng.random()
        if how < 0.15:
            return {k: v for k, v in given.items() if k != key}
        if how < 0.25:
            return {(text(rng, str(k)) if k == key else k): v for k, v in given.items()}
        return given | {key: tree(rng, given[key])}
    if isinstance(given, list) and given and rng.random() < 0.9:
        place = rng.randrange(len(given))
        how = rng.random()
        if how < 0.2:
            return given[:place] + given[place + 1 :]
        if how < 0.3:
            return [*given[:place], given[place], *given[place:]]
        return [tree(rng, v) if k == place else v for k, v in enumerate(given)]
    if isinstance(given, str) and rng.random() < 0.5:
        return text(rng, given)
    return rng.choice((*VALUES, *TEXTS))


def written(rng: random.Random, given: str, suffix: str) -> bytes:
    """The text of a JSON, JSON lines or YAML file, damaged as text or as a tree."""
    how = rng.random()
    if how < 0.25:
        return content(rng, given.encode())
    if how < 0.35:
        return rng.choice(
            (
                b"[]",
                b"{}",
                b"null",
                b"1",
                b'""',
                b"\xff\xfe{\x00}\x00",
                b"[" * 5000,
                b"a: &a [*a]\n",
                b"a: 1\na: 2\n",
                b"NaN",
                b"\x00",
            )
        ) + (given.encode() if rng.random() < 0.2 else b"")
    if suffix in (".yaml", ".yml"):
        return (
            yaml.safe_dump(tree(rng, yaml.safe_load(given)), allow_unicode=False)
            .replace("'!!python", "!!python")
            .encode(errors="replace")
        )
    if suffix == ".jsonl":
        lines = given.splitlines() or ["{}"]
        place = rng.randrange(len(lines))
        lines[place] = json.dumps(tree(rng, json.loads(lines[place])))
        return "\n".join(lines).encode(errors="replace")
    return json.dumps(tree(rng, json.loads(given))).encode(errors="replace")
