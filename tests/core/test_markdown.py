import pytest

from kantor.core.markdown import block, code, text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("neuron_transport@stages=3:20", "neuron_transport@stages=3:20"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[a](javascript:b)", r"\[a\](javascript:b)"),
        ("a|b*c`d\\e", r"a\|b\*c\`d\\e"),
        ("red\x1b[31m\nnext & last", "red next &amp; last"),
    ],
)
def test_a_name_is_text(name, said):
    assert text(name) == said


def test_code_is_not_closed_by_what_is_in_it():
    assert code("kd") == "`kd`"
    assert code("a`b``c\n") == "``` a`b``c ```"
    assert block("a\n```\n<b>", "sh") == "````sh\na\n```\n<b>\n````"
