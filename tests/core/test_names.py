import pytest

from kantor.core.errors import ConfigError
from kantor.core.names import check_name, folder_name, printable


def test_a_folders_name_is_as_it_always_was_and_ends_in_a_digest_where_it_is_too_long():
    assert folder_name("kd+neuron_transport@stages=3:20/2") == "kd+neuron_transport@stages=3=20_2"
    assert folder_name("x" * 200) == "x" * 200
    long, other = folder_name("é" * 300 + "a"), folder_name("é" * 300 + "b")
    assert long != other
    assert len(long.encode()) <= 200 and long.startswith("é" * 50)


@pytest.mark.parametrize("name", ["none", "kd+neuron_transport:20", "m[/x]", "my method", "😀", "kd.json.x"])
def test_what_can_be_a_folder_is_let_through(name):
    check_name(name, "A method")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("..", "begins with a dot"),
        (".", "begins with a dot"),
        (".lock", "begins with a dot"),
        ("plan.json", "file or folder that a run has"),
        ("Report.HTML", "file or folder that a run has"),
        ("analysis", "file or folder that a run has"),
        ("tuning", "file or folder that a run has"),
        ("starts", "file or folder that a run has"),
        ("vocabulary", "file or folder that a run has"),
        ("a\nb", "cannot be printed"),
        ("a\0b", "cannot be printed"),
        ("\x1b[31mred", "cannot be printed"),
        ("\udcff", "cannot be printed"),
        ("a\u202eb", "cannot be printed"),
    ],
)
def test_what_cannot_be_one_is_refused(name, said):
    with pytest.raises(ConfigError, match=said) as caught:
        check_name(name, "A method")
    assert printable(str(caught.value)) == str(caught.value)


def test_escape_sequences_and_controls_are_stripped_and_the_rest_is_left():
    assert printable("\x1b[31mred\x1b[0m [bold]x[/bold] :dog:\ta\nb") == "red [bold]x[/bold] :dog:\ta\nb"
    assert printable("\x1b]0;title\x07x\x1b]8;;http://a\x1b\\y\x1bc\x9b31m\r\x08\x7fz\u202e") == "xy31mz"
    assert printable("caf\udce9") == "caf?"
