"""The public names: all there, all on the page that says what is stable, and none that is not meant."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kantor
from kantor.core import errors

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "public.md"


@pytest.mark.parametrize("name", kantor.__all__)
def test_every_public_name_is_there(name):
    found = getattr(kantor, name)
    assert name in dir(kantor) and getattr(kantor, name) is found


def test_the_page_lists_every_public_name_and_no_other():
    listed = re.findall(r"^\| \{py:\w+\}`kantor\.(\w+)`", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(kantor.__all__)


def test_every_error_that_a_user_can_mend_is_public_and_is_a_kantor_error():
    mended = {
        name for name, found in vars(errors).items() if isinstance(found, type) and found.__module__ == errors.__name__
    }
    assert mended and mended <= set(kantor.__all__)
    assert all(issubclass(getattr(kantor, name), kantor.KantorError) for name in mended)
    with pytest.raises(kantor.KantorError):
        kantor.load("no_such_model", classes=2)


def test_what_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'objectiv'"):
        _ = kantor.objectiv


def test_errors_come_without_torch():
    code = "import sys, kantor; kantor.KantorError, kantor.ConfigError; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
