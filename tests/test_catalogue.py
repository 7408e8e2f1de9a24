"""The list that is read from the sources is what the classes say, and comes without torch."""

import subprocess
import sys

import pytest

from kantor import catalogue
from kantor.losses import LOSSES, PENALTIES


@pytest.mark.parametrize(("registry", "classes"), [("LOSSES", LOSSES), ("PENALTIES", PENALTIES)])
def test_it_says_what_the_classes_say(registry, classes):
    rows = catalogue.losses(registry)
    assert [row["name"] for row in rows] == list(classes)
    for row in rows:
        for field, value in row.items():
            assert getattr(classes[row["name"]], field) == value, (row["name"], field)
        assert {"name", "paper", "default_weight"} <= row.keys()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["methods"]])
def test_what_needs_no_torch_starts_without_it(arguments):
    code = (
        "import sys; from kantor.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'scipy', 'accelerate'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_the_compiler_is_not_drawn_in_by_an_import():
    code = "import sys, kantor; kantor.losses, kantor.ot, kantor.load; assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
