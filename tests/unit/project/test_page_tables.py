"""The tables of the pages are those that ``docs/tables.py`` writes from the recorded studies."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.image import imread
from scripts import load_script

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    return load_script("docs/tables.py")


def test_no_table_of_a_page_has_drifted_from_its_recorded_study(tables: ModuleType) -> None:
    stale = [
        page.name for page in tables.pages() if tables.rewritten(page.read_text(), "") != page.read_text()
    ]
    assert stale == [], "run `make tables`"


def test_the_figures_of_the_pages_show_the_recorded_scores(tables: ModuleType, tmp_path: Path) -> None:
    tables.draw_ranking(tmp_path)
    tables.draw_budgets(tmp_path)
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["ranking.png", "sensitivity_acdc.png", "sensitivity_mscmr.png"]
    for name in names:
        drawn, committed = imread(tmp_path / name), imread(ROOT / "docs" / "img" / name)
        assert np.array_equal(drawn, committed), f"{name}: run `make tables`"


def test_the_page_recomputes_a_cell_of_its_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "reference" / "results.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(ROOT)
    exec(code, {})
    (shown,) = re.findall(
        r"`cyclemix` \| \d (?:\| [\d.]+ ){3}\| ([\d.]+) \[", page.partition("### MSCMRseg")[0]
    )
    assert f"{float(capsys.readouterr().out):.3f}" == shown


def test_the_readme_shows_the_headline_of_the_real_studies(tables: ModuleType) -> None:
    match = tables.TABLE.search((ROOT / "README.md").read_text())
    assert match is not None
    assert match.group(2, 3) == ("rows", "headline")


def test_a_changed_digit_is_found_and_corrected(tables: ModuleType) -> None:
    right = tables.rewritten("<!-- table: phantom comparison -->\n<!-- /table -->", "page")
    assert "| `cyclemix` | 3 | 0.9" in right
    wrong = right.replace("0.9", "0.8")
    assert wrong != right
    assert tables.rewritten(wrong, "page") == right


def test_an_unknown_study_is_named(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"page\.md: table none comparison: expected one of .*phantom"):
        tables.rewritten("<!-- table: none comparison -->\n<!-- /table -->", "page.md")


def write_study(study: Path, dataset: str) -> None:
    """A recorded study of three rows, one run each."""
    folder = study / "summaries" / dataset
    folder.mkdir(parents=True)
    head = "dataset,method,supervision,structure,metric,mean,std,ci_low,ci_high,n_cases,n_missed,n_runs\n"
    lines, rough = [], []
    for method, supervision, dice in (
        ("unet_pce", "scribble", 0.7),
        ("cyclemix", "scribble", 0.8),
        ("unet_full", "full", 0.9),
    ):
        for structure in ("LV", "Avg"):
            start = f"{dataset},{method},{supervision},{structure}"
            lines += [f"{start},dice,{dice},0,0.6,0.95,30,2,1", f"{start},hd95_mm,4.26,0,4,5,30,2,1"]
            rough += [f"{start},dice,{dice - 0.1},0,0.5,0.9,30,2,1"]
        run = study / "runs" / dataset / method / "fold0_seed0"
        run.mkdir(parents=True)
        origin = {"label": method, "cpu_seconds": 90, "seed": 0, "commit": "a" * 40, "dirty": False}
        origin |= {"versions": {"torch": "2.13.0"}, "hardware": {"gpus": [], "cpu": "a processor"}}
        origin["precision"] = "fp32"
        (run / "provenance.json").write_text(json.dumps(origin))
    (folder / "summary.csv").write_text(head + "\n".join(lines) + "\n")
    (folder / "summary_as_predicted.csv").write_text(head + "\n".join(rough) + "\n")


def test_a_recorded_study_becomes_a_comparison_with_the_published_numbers(
    tables: ModuleType, tmp_path: Path
) -> None:
    write_study(tmp_path, "acdc")
    shown = tables.comparison(tmp_path).splitlines()
    assert [line.split("|")[1].strip() for line in shown if line.startswith("|")][2:] == [
        "**scribbles**",
        "`cyclemix`",
        "`unet_pce`",
        "**dense labels**",
        "`unet_full`",
    ]
    assert shown[3] == "| `cyclemix` | 1 | 0.800 | 0.800 [0.600, 0.950] | 0.700 | 0.848 | 4.3 | 2 | 1.5 |"
    assert shown[-1] == "Seed 0; commit `aaaaaaa`; torch 2.13.0; a processor in fp32."


@pytest.mark.parametrize(
    ("before", "after", "marks", "devices"),
    [
        ("a processor", "another one", "ba", "a processor in fp32 (a), another one in fp32 (b)"),
        ("fp32", "bf16", "ab", "a processor in bf16 (a), a processor in fp32 (b)"),
    ],
)
def test_minutes_of_several_processors_and_precisions_are_marked(
    tables: ModuleType, tmp_path: Path, before: str, after: str, marks: str, devices: str
) -> None:
    write_study(tmp_path, "acdc")
    record = tmp_path / "runs" / "acdc" / "cyclemix" / "fold0_seed0" / "provenance.json"
    record.write_text(record.read_text().replace(before, after))
    shown = tables.comparison(tmp_path).splitlines()
    assert shown[3].endswith(f"| 1.5 ({marks[0]}) |")
    assert shown[4].endswith(f"| 1.5 ({marks[1]}) |")
    assert shown[-1].endswith(f"torch 2.13.0; {devices}.")


def test_minutes_are_means_on_each_processor(tables: ModuleType, tmp_path: Path) -> None:
    write_study(tmp_path, "acdc")
    folder = tmp_path / "runs" / "acdc" / "cyclemix"
    origin = json.loads((folder / "fold0_seed0" / "provenance.json").read_text())
    for seed, cpu, seconds in ((1, "a processor", 150), (2, "another one", 30)):
        (folder / f"fold0_seed{seed}").mkdir()
        more = {"seed": seed, "hardware": {"gpus": [], "cpu": cpu}, "cpu_seconds": seconds}
        (folder / f"fold0_seed{seed}" / "provenance.json").write_text(json.dumps(origin | more))
    shown = tables.comparison(tmp_path).splitlines()
    assert shown[3].endswith("| 2.0 (a), 0.5 (b) |")
    assert shown[4].endswith("| 1.5 (a) |")


def test_budgets_have_a_column_per_number_of_subjects(tables: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "summaries" / "acdc"
    folder.mkdir(parents=True)
    (folder / "efficiency.csv").write_text(
        "method,label,subjects,dice,dice_as_predicted\n"
        "cyclemix,cyclemix_5subjects,5.0,0.8125,0.75\n"
        "cyclemix,cyclemix,35.0,0.875,0.8125\n"
        "unet_pce,unet_pce,35.0,0.5,0.25\n"
    )
    assert tables.budgets(tmp_path).splitlines() == [
        "| training subjects | 5 | 35 |",
        "| --- | ---: | ---: |",
        "| `cyclemix` | 0.812, 0.750 | 0.875, 0.812 |",
        "| `unet_pce` |  | 0.500, 0.250 |",
    ]


def test_the_headline_shows_the_recorded_rows_of_both_data_sets(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "STUDIES", tmp_path)
    for dataset in ("acdc", "mscmr"):
        write_study(tmp_path / dataset, dataset)
    summary = tmp_path / "mscmr" / "summaries" / "mscmr" / "summary.csv"
    summary.write_text("".join(line for line in summary.open() if ",unet_full," not in line))
    heads, _, *rows = tables.chosen(tables.HEADLINE).splitlines()
    assert heads == (
        "| method | trained on | runs | ACDC [95 % interval] | as predicted | published "
        "| MSCMRseg [95 % interval] | as predicted | published |"
    )
    score = "0.800 [0.600, 0.950] | 0.700 | 0.848 | 0.800 [0.600, 0.950] | 0.700 | 0.800"
    assert rows[1:] == [
        f"| `cyclemix` | scribbles | 1 | {score} |",
        "| `unet_full` | dense labels | 1 | 0.900 [0.600, 0.950] | 0.800 |  |  |  |  |",
    ]
    assert rows[0].startswith("| `unet_pce` | scribbles | 1 | 0.700 [0.600, 0.950] | 0.600 | 0.766 |")


def test_the_cost_takes_bf16_where_a_row_was_trained_in_it(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "STUDIES", tmp_path)
    for dataset in ("acdc", "mscmr"):
        for label, seed, precision, hours in (
            ("cyclemix", 0, "fp32", 3),
            ("cyclemix", 1, "bf16", 1),
            ("cyclemix_5subjects", 0, "bf16", 1),
        ):
            run = tmp_path / dataset / "runs" / dataset / label / f"fold0_seed{seed}"
            run.mkdir(parents=True)
            origin = {"label": label, "seed": seed, "precision": precision, "cpu_seconds": 3600 * hours}
            (run / "provenance.json").write_text(json.dumps(origin))
    assert tables.cost().splitlines()[2:] == [
        "| ACDC | 1 | 3.0 | 1 | 1.0 |",
        "| MSCMRseg | 1 | 3.0 | 1 | 1.0 |",
        "| both | 2 | 6.0 | 2 | 2.0 |",
    ]


def test_differences_and_clinical_indices_of_a_recorded_study(tables: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "summaries" / "acdc"
    folder.mkdir(parents=True)
    (folder / "significance.csv").write_text(
        "metric,structure,method,compare_to,n_patients,mean_difference,ci_low,ci_high,p_holm\n"
        "dice,Avg,unet_pce,cyclemix,15,-0.0251,-0.04,-0.01,0.0123\n"
        "dice,Avg,unet_full,cyclemix,15,0.01,-0.004,0.02,0.2\n"
        "hd95_mm,Avg,unet_full,cyclemix,15,1,1,1,1\n"
    )
    (folder / "clinical.csv").write_text(
        "method,structure,measure,unit,bias,sd\ncyclemix,LV,edv,mL,-11.93,16.27\ncyclemix,LV,ef,%,3.84,5.1\n"
    )
    assert tables.differences(tmp_path).splitlines()[2:] == [
        "| `unet_full` - `cyclemix` | 15 | +0.010 [-0.004, +0.020] | 0.200 |",
        "| `unet_pce` - `cyclemix` | 15 | -0.025 [-0.040, -0.010] | 0.012 |",
    ]
    assert tables.clinical(tmp_path).splitlines() == [
        "| method | LV EDV (mL) | LV EF (%) |",
        "| --- | ---: | ---: |",
        "| `cyclemix` | -11.9 ± 16.3 | +3.8 ± 5.1 |",
    ]
