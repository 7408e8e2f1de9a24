"""What each role sees: one view for all teachers, or one for each by its name."""

import pytest

from kantor.core.errors import ConfigError
from kantor.study.settings.views import views_by_role

TWO = ["mri", "ct"]


@pytest.mark.parametrize(
    ("given", "teachers", "found"),
    [
        ({"student": "cheap", "teacher": "scan"}, ["big"], {"student": "cheap", "teacher": "scan"}),
        ({"student": "cheap", "teacher": "scan"}, TWO, {"student": "cheap", "teacher": "scan"}),
        (
            {"student": "cheap", "mri": "scan", "ct": "xray"},
            TWO,
            {"student": "cheap", "mri": "scan", "ct": "xray"},
        ),
        (
            {"student": "cheap", "teacher": "scan", "ct": "xray"},
            TWO,
            {"student": "cheap", "mri": "scan", "ct": "xray"},
        ),
    ],
    ids=["one", "all alike", "each by name", "the others"],
)
def test_every_role_has_its_view(given, teachers, found):
    assert views_by_role(given, teachers) == found


@pytest.mark.parametrize(
    ("given", "teachers", "said"),
    [
        ({"teacher": "scan"}, ["big"], "says nothing of the student: add student=NAME"),
        ({"student": "cheap"}, ["big"], "says nothing of the teacher: add teacher=NAME"),
        ({"student": "cheap", "mri": "scan"}, TWO, "says nothing of teacher ct: add ct=NAME, or teacher=NAME"),
        ({"student": "cheap", "mir": "scan"}, TWO, "no known teacher: 'mir'. Close to it: mri"),
        ({"student": "cheap", "mri": "a", "ct": "b", "teacher": "c"}, TWO, "none sees teacher=c: leave it out"),
        ({"student": "a", "mri": "b"}, ["mri", "student"], "A teacher is called 'student', and so is a role"),
    ],
)
def test_what_is_left_open_or_seen_by_nobody_is_refused(given, teachers, said):
    with pytest.raises(ConfigError) as refused:
        views_by_role(given, teachers)
    assert said in str(refused.value)
