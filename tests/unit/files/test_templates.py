"""Templates: what is escaped, and that an unknown name is an error."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from cyclemix.files.templates import render


@pytest.mark.parametrize(("name", "text"), [("page.html", "a &lt;b&gt;\n"), ("text.yaml.jinja", "a <b>\n")])
def test_values_are_escaped_in_html_alone(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text("{% if value %}\n{{ value }}\n{% endif %}\n")
    assert render(tmp_path / name, value="a <b>") == text


def test_templates_include_files_of_other_folders(tmp_path: Path) -> None:
    for folder, text in (("own", '{% extends "base.html" %}{% block main %}x{% endblock %}'), ("base", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "page.html").write_text(text)
    (tmp_path / "base" / "base.html").write_text("<p>{% block main %}{% endblock %}</p>")
    assert render(tmp_path / "own" / "page.html", tmp_path / "base") == "<p>x</p>"


def test_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("{{ colour }}")
    with pytest.raises(jinja2.UndefinedError, match="'colour' is undefined"):
        render(tmp_path / "page.html", color="red")
