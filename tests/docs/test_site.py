"""The site builds without a warning, loads nothing from the network; its reference holds everything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from doc_commands import ROOT

from cyclemix import methods
from cyclemix.cli.main import app
from cyclemix.config.models import Training
from cyclemix.config.study import MethodBlock, Study
from cyclemix.data.spec import DatasetSpec


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def keys(page: Path, heading: str) -> set[str]:
    """Code in the first cells of the tables of the section below a heading."""
    _, _, rest = page.read_text().partition(f'id="{heading}"')
    section = rest.partition("<h2")[0]
    return set(re.findall(r"<tr>\s*<td><code>([^<]+)</code>", section))


def test_no_page_loads_anything_from_the_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    loaded = r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?https?:|<link[^>]*\shref=\"?https?:"
    assert [page.name for page in pages if re.search(loaded, page.read_text())] == []
    sheets = [sheet.name for sheet in site.rglob("*.css") if re.search(r"url\(.?https?:", sheet.read_text())]
    assert sheets == []


def test_the_search_needs_no_server(site: Path) -> None:
    assert (site / "search" / "search_index.js").read_text().startswith("var __index = {")
    assert 'src="assets/iframe-worker.js"' in (site / "index.html").read_text()
    assert (site / "assets" / "iframe-worker.js").is_file()


def test_every_key_stands_in_the_configuration_reference(site: Path) -> None:
    page = site / "reference" / "configuration.html"
    assert keys(page, "a-study-configyaml") >= {*Study.model_fields, *Training.model_fields}
    given_by_place = {"label", "folder"}
    assert keys(page, "a-data-set-configdatasetsyaml") >= {*DatasetSpec.model_fields} - given_by_place
    assert keys(page, "a-row-a-block-of-configmethodsyaml") >= {*MethodBlock.model_fields}
    own = {key for method in methods.available().values() for key in method.Config.model_fields}
    assert keys(page, "the-settings-of-every-method") >= own


def test_every_command_and_option_stands_in_the_command_line_reference(site: Path) -> None:
    text = (site / "reference" / "configuration.html").read_text()
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        _, _, section = text.partition(f'id="cyclemix-{name}"')
        section = section.partition("<h3")[0]
        assert section, name
        for parameter in command.params:
            written = parameter.name.upper() if parameter.param_type_name == "argument" else parameter.opts[0]
            assert f"<code>{written}</code>" in section, f"{name} {written}"


def test_links_to_the_repository_lead_to_pages_that_show_the_file(site: Path) -> None:
    text = (site / "reference" / "data.html").read_text()
    assert 'href="../source/config/datasets/example_own_data.yaml.html"' in text
    shown = (site / "source" / "config" / "datasets" / "example_own_data.yaml.html").read_text()
    assert "scribble_values" in shown
