"""Pages from templates: what is text stays text."""

import jinja2
import pytest

from kantor.report import template


@pytest.fixture
def render(tmp_path, monkeypatch):
    monkeypatch.setattr(template, "TEMPLATES", tmp_path)
    (tmp_path / "a.css").write_text("p > em {}")
    (tmp_path / "a.js").write_text("1 < 2")
    page = '<style>{{ style }}</style><script id="d">{{ data }}</script><script>{{ script }}</script>{{ title }}'
    (tmp_path / "page.html").write_text(page)

    def make(data, **values):
        return template.render("page.html", styles=["a.css"], scripts=["a.js"], data=data, more="b {}", **values)

    return make


def test_styles_and_scripts_are_as_they_were_written(render):
    page = render({}, title="t")
    assert "<style>p > em {}\nb {}</style>" in page and "<script>1 < 2</script>" in page


def test_data_cannot_end_its_element_and_text_is_no_markup(render):
    page = render({"name": "</script><b>"}, title="</script><b>")
    assert page.count("</script>") == 2
    assert r"\u003c/script>\u003cb>" in page and "&lt;/script&gt;" in page


def test_what_a_template_lacks_is_an_error_and_no_gap(render):
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render({})


def test_data_are_numbers_that_every_reader_knows(render):
    with pytest.raises(ValueError, match="JSON"):
        render({"x": float("nan")}, title="")
