"""From the runs' files to the tables: a made-up study whose numbers can be computed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cyclemix.evaluation.scores import COLUMNS, LEVEL_COLUMNS, write_csv
from cyclemix.files.layout import data_dir, run_dir, table_dir
from cyclemix.report import efficiency_figure, tables

DATASET = """
title: Toy hearts
terms: Cite nobody.
root: .
files: {image: "{case}.nii.gz", label: "{case}_gt.nii.gz"}
case: "{subject}_{frame}"
classes: [RV, MYO, LV]
table_order: [LV, MYO, RV]
label_values: {0: background, 1: RV, 2: MYO, 3: LV}
grid: {spacing_mm: 1.0, crop_px: 32}
official: {train: [a, b], val: [v1, v2], test: [t1, t2, t3]}
cardiac_frames: {ED: ed}
"""
PUBLISHED = """dataset,method,row,supervision,structure,metric,mean,std,paper,where,checked
toy,PaperMix,,2 scribbles,LV,dice,0.5,0.1,Paper 2022,Table 1,yes
toy,PaperMix,,2 scribbles,Avg,dice,0.95,,Paper 2022,Table 1,yes
toy,DoubtNet,,2 scribbles,Avg,dice,0.99,,Paper 2022,Table 2,no
toy,VagueNet,,scribbles,Avg,dice,0.7,,Later 2024,quoted,secondary
toy,BigNet,,70 scribbles,Avg,dice,0.6,,Later 2024,Table 9,yes
other,Elsewhere,,2 scribbles,Avg,dice,0.1,,Paper 2022,Table 1,yes
"""
BOTH = {"test_time_augmentation": True, "largest_component": True}
NEITHER = {"test_time_augmentation": False, "largest_component": False}


def block(supervision: str, **changes: Any) -> dict[str, Any]:
    return {"supervision": supervision, "summary": "in words", "inference": BOTH, "reason": None} | changes


BASE = {"cyclemix": 0.9, "unet_pce": 0.6, "unet_full": 0.8}


class Toy:
    """Three test patients with two frames; patient i scores the method's base - 0.1 i + 0.02 seed."""

    def __init__(self, folder: Path, evaluate_on: str = "test", seeds: tuple[int, ...] = (0, 1)) -> None:
        self.results, self.dataset = folder / "results", folder / "toy.yaml"
        self.published, self.output = folder / "published.csv", folder / "out"
        self.dataset.write_text(DATASET)
        self.published.write_text(PUBLISHED)
        self.study: dict[str, Any] = {
            "methods": {
                "cyclemix": block("scribble"),
                "unet_full": block("full", inference=NEITHER),
                "unet_pce": block("scribble"),
                "maag": block("scribble+masks", reason="toy has no list of unpaired masks"),
            },
            "seeds": list(seeds),
            "folds": [0],
            "protocol": {"kind": "official", "folds": 5, "evaluate_on": evaluate_on},
            "inference": BOTH,
            "compare_to": "cyclemix",
        }
        subjects = ["t1", "t2", "t3"] if evaluate_on == "test" else ["v1", "v2"]
        folds = [{"train": ["a", "b"], "val": ["v1", "v2"], "test": ["t1", "t2", "t3"]}]
        data_dir(self.results, "toy").mkdir(parents=True)
        (data_dir(self.results, "toy") / "folds.json").write_text(json.dumps({"folds": folds}))
        for label in BASE:
            for seed in seeds:
                self.write_run(label, seed, subjects)

    def write_run(self, label: str, seed: int, subjects: list[str]) -> None:
        folder = run_dir(self.results, "toy", label, 0, seed)
        rows, levels = [], []
        for i, subject in enumerate(subjects):
            for frame in ("es", "ed"):
                for structure in ("LV", "MYO", "RV"):
                    dice = BASE[label] - 0.1 * i + 0.02 * seed
                    missed = int(
                        (label, seed, subject, frame, structure) == ("unet_pce", 0, "t1", "ed", "RV")
                    )
                    identity = (f"{subject}_{frame}", subject, structure)
                    volume = {"ed": 100.0, "es": 40.0}[frame] if structure != "MYO" else 120.0
                    rows.append((*identity, dice, 10.0, 100 * (1 - dice), 1.0, volume + 5, volume, missed))
                    levels += [(*identity, level, 2, dice) for level in ("base", "middle", "apex")]
        write_csv(pd.DataFrame(rows, columns=COLUMNS), folder / "metrics.csv")
        raw = [(*row[:3], row[3] - 0.25, *row[4:]) for row in rows]
        write_csv(pd.DataFrame(raw, columns=COLUMNS), folder / "metrics_as_predicted.csv")
        write_csv(pd.DataFrame(levels, columns=LEVEL_COLUMNS), folder / "metrics_by_level.csv")
        origin = {
            "training_seconds": 90 + 60 * seed,
            "precision": "fp32",
            "device": "cpu",
            "commit": "f" * 40,
        }
        (folder / "provenance.json").write_text(json.dumps(origin | {"dirty": False}))

    def run(self) -> None:
        tables.run(self.results, self.dataset, self.study, self.output, self.published)

    def csv(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.output / f"{name}.csv")

    def text(self, name: str) -> str:
        return (self.output / name).read_text()


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A study whose tables are written; to be read only."""
    toy = Toy(tmp_path_factory.mktemp("study"))
    toy.run()
    return toy


def row_of(markdown: str, name: str) -> list[str]:
    """Cells of the first table row that starts with ``name``."""
    line = next(line for line in markdown.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def section(markdown: str, title: str) -> str:
    return next(part for part in markdown.split("\n## ") if part.startswith(title))


def test_per_case_holds_every_run_sorted(done):
    table = done.csv("per_case")
    keys = ["dataset", "method", "fold", "seed", "case", "structure"]
    assert list(table.columns) == ["dataset", "method", "fold", "seed", *COLUMNS]
    assert len(table) == 3 * 2 * 3 * 2 * 3
    assert table[keys].equals(table[keys].sort_values(keys, ignore_index=True))
    assert set(table["dataset"]) == {"toy"}


def test_summary_by_hand(done):
    table = done.csv("summary").set_index(["method", "structure", "metric"])
    # patients of cyclemix: .91, .81, .71 after averaging the seeds
    assert table.loc[("cyclemix", "Avg", "dice"), "mean"] == pytest.approx(0.81)
    assert table.loc[("cyclemix", "LV", "dice"), "std"] == pytest.approx(0.1)
    assert table.loc[("unet_pce", "RV", "hd95_mm"), "mean"] == pytest.approx(49)
    assert table.loc[("unet_pce", "Avg", "dice"), ["n_cases", "n_missed", "n_runs"]].tolist() == [6, 1, 2]
    assert set(table["supervision"]) == {"scribble", "full"}
    assert list(dict.fromkeys(table.index.get_level_values(1))) == ["LV", "MYO", "RV", "Avg"]


def test_the_scores_as_predicted_have_their_own_files_and_column(done):
    table = done.csv("summary_as_predicted").set_index(["method", "structure", "metric"])
    assert table.loc[("cyclemix", "Avg", "dice"), "mean"] == pytest.approx(0.81 - 0.25)
    assert len(done.csv("per_case_as_predicted")) == len(done.csv("per_case"))
    cells = row_of(section(done.text("comparison.md"), "Scores"), "cyclemix")
    assert cells[5].startswith("**0.560 ± 0.100**")


def test_three_patients_support_no_claim(done):
    table = done.csv("significance")
    assert set(table["smallest_p"]) == {0.25, 1.0}  # equal HD and ASSD: no differing patient at all
    assert table["claim"].str.startswith("no claim").all()
    assert "no claim" in section(done.text("comparison.md"), "Significance against cyclemix")
    assert "No difference to cyclemix is called significant" in done.text("comparison.md")


def test_clinical_and_level_tables_by_hand(done):
    table = done.csv("clinical").set_index(["method", "structure", "measure"])
    row = table.loc[("cyclemix", "LV", "ef")]
    assert row["mean_true"] == pytest.approx(60)
    assert row["bias"] == pytest.approx(100 * 60 / 105 - 60)
    assert table.loc[("cyclemix", "MYO", "mass"), "bias"] == pytest.approx(5 * 1.05)
    assert len(done.csv("clinical_per_patient")) == 3 * 3 * 7
    levels = done.csv("levels").set_index(["method", "level", "structure"])
    assert levels.loc[("unet_full", "apex", "Avg"), "dice_mean"] == pytest.approx(0.71)


def test_rows_are_grouped_and_the_best_is_bold(done):
    text = section(done.text("comparison.md"), "Scores beside published numbers")
    order = [
        text.index(name)
        for name in ("**Scribbles**", "cyclemix", "PaperMix", "**Scribbles and", "unet\\_full")
    ]
    assert order == sorted(order)
    ours, paper, doubt = (row_of(text, name) for name in ("cyclemix", "PaperMix", "DoubtNet"))
    assert ours[0] == "cyclemix *(reference)*"
    assert ours[1] == "**0.810 ± 0.100**"  # best LV among ours and verified published rows
    assert ours[4].startswith("0.810 ± 0.100<br><sub>[")  # the published average is better
    assert paper[4] == "**0.950**"
    assert doubt[4] == "0.990"  # unverified, so it does not compete
    assert row_of(text, "unet\\_full")[1] == "0.710 ± 0.100"  # alone in its group


def test_what_a_row_says_beside_its_scores(done):
    text = section(done.text("comparison.md"), "Scores beside published numbers")
    assert row_of(text, "unet\\_pce")[-2:] == ["1<br><sub>of 36</sub>", "2.0 min"]
    assert row_of(text, "unet\\_full")[0] == "unet\\_full *(other inference)*"
    assert row_of(text, "maag")[1] == "n/a: toy has no list of unpaired masks"
    assert row_of(text, "PaperMix")[0] == "PaperMix [1] *(published)*<br><sub>2 scribbles</sub>"
    assert row_of(text, "DoubtNet")[0].startswith("DoubtNet [2] *(published, unverified)*")
    assert "- [1] Paper 2022, Table 1." in text
    assert "Elsewhere" not in done.text("comparison.md")


def test_the_overview_says_which_row_comes_first(done):
    text = done.text("overview.rst")
    best = "Trained from scribbles, **cyclemix** has the highest score of 2 methods: average Dice 0.810 ("
    assert best in text
    assert "Trained from dense labels, **unet\\_full** was the only method: average Dice 0.710 (" in text
    heads = ["Method", "Trained on", "Dice LV", "Dice MYO", "Dice RV", "Dice Avg", "HD95 (mm) Avg", "Missed"]
    quoted = ", ".join(f'"{head}"' for head in [*heads, "Training"])
    assert f"   :header: {quoted}\n" in text
    (row,) = (line for line in text.splitlines() if line.startswith('   "cyclemix"'))
    assert row.startswith('   "cyclemix", "scribbles", "**0.810**", "**0.810**", "**0.810**", "**0.810** [')
    assert '"maag", "scribbles and unpaired masks", "n/a: toy has no list of unpaired masks", "", "",' in text
    assert "No difference to cyclemix is called significant" in text


def test_a_method_without_a_source_bears_a_mark(toy):
    toy.study["methods"]["unet_pce"]["source"] = "none"
    toy.run()
    note = "† No published code was read for this row (source: none)."
    assert "| unet\\_pce† |" in toy.text("comparison.md")
    assert "| cyclemix *(reference)* |" in toy.text("comparison.md")
    assert note in toy.text("comparison.md")
    assert '"unet\\_pce†"' in toy.text("overview.rst")
    assert note in toy.text("overview.rst")


def test_every_table_of_ours_states_split_inference_and_precision(done):
    text = done.text("comparison.md")
    for title in ("Scores", "Significance", "Clinical", "Dice by level"):
        part = section(text, title)
        assert (
            "Official split, 2 training subjects; scored on 3 test patients (6 volumes); seeds 0, 1." in part
        )
        assert "mean over flips and quarter turns, largest component of each structure" in part
        assert "fp32 on cpu" in part


def test_published_rows_of_another_training_set_stand_apart(done):
    parts = done.text("comparison.md").split("\n## ")
    apart = [part for part in parts if part.startswith("Published numbers, not comparable")]
    assert len(apart) == 2
    assert "does not state the number of scribbled subjects" in apart[0]
    assert "VagueNet [1] *(secondary source)*" in apart[0]
    assert "not trained on 2 subjects, as ours" in apart[1]
    assert "BigNet" in apart[1]


def test_validation_scores_and_published_test_scores_do_not_mix(tmp_path):
    toy = Toy(tmp_path, evaluate_on="val")
    toy.run()
    text = toy.text("comparison.md")
    ours = section(text, "Scores")
    assert "2 validation patients (4 volumes), which also select the model: optimistic" in ours
    assert "PaperMix" not in ours
    apart = section(text, "Published numbers, not comparable")
    assert "> **Not comparable: these are official test results, ours are of validation patients.**" in apart
    for name in ("PaperMix", "DoubtNet", "VagueNet", "BigNet"):
        assert name in apart


def test_cross_validation_is_told_and_compared_with_nobody(toy):
    toy.study["protocol"] = {"kind": "kfold", "folds": 4, "evaluate_on": "test"}
    toy.run()
    text = toy.text("comparison.md")
    assert "4-fold by patient (only fold 0), 2 training subjects per fold; scored on 3 test patients" in text
    assert "these are official test results, ours are of all patients in turn" in text
    assert "PaperMix" not in section(text, "Scores")


def test_html_is_one_file_that_needs_nothing(done):
    text = done.text("comparison.html")
    assert not re.search(r"<script|<link|src=|url\(|@import|https?://", text)
    assert 'name="viewport"' in text
    assert text.count("<section") == text.count("</section>") == 6
    assert '<span class="tag unverified">unverified</span>' in text


def test_order_of_rows_may_be_given(toy):
    toy.study["order"] = ["unet_pce", "cyclemix", "unet_full", "maag"]
    toy.run()
    text = toy.text("comparison.md")
    assert text.index("| unet\\_pce") < text.index("| cyclemix")
    assert list(dict.fromkeys(toy.csv("summary")["method"])) == ["unet_pce", "cyclemix", "unet_full"]


def test_writing_twice_gives_the_same_bytes(done):
    first = {path.name: path.read_bytes() for path in done.output.iterdir()}
    done.run()
    assert {path.name: path.read_bytes() for path in done.output.iterdir()} == first
    assert set(first) == {
        *(
            f"{name}.csv"
            for name in ("per_case", "summary", "significance", "clinical", "levels", "efficiency")
        ),
        "per_case_as_predicted.csv",
        "summary_as_predicted.csv",
        "clinical_per_patient.csv",
        *("comparison.md", "comparison.tex", "comparison.html", "overview.rst"),
        "provenance.json",
    }


def test_other_organs_have_empty_clinical_tables(toy):
    toy.dataset.write_text(DATASET.replace("cardiac_frames: {ED: ed}", ""))
    toy.run()
    assert toy.csv("clinical").empty
    assert "Clinical" not in toy.text("comparison.md")


def test_missing_files_are_named(toy):
    path = run_dir(toy.results, "toy", "unet_pce", 0, 1) / "metrics.csv"
    path.unlink()
    with pytest.raises(ValueError, match=r"fold0_seed1/metrics\.csv: no such file; run `evaluate`"):
        toy.run()


def test_foreign_columns_are_named(toy):
    path = run_dir(toy.results, "toy", "cyclemix", 0, 0) / "metrics.csv"
    path.write_text("case,dice\nx,1\n")
    with pytest.raises(ValueError, match=r"metrics\.csv: expected columns case, subject, .*got case, dice"):
        toy.run()


def test_a_study_without_runs_says_why(toy):
    toy.study["methods"] = {"maag": block("scribble+masks", reason="no masks")}
    with pytest.raises(ValueError, match="every row is n/a on toy: maag: no masks"):
        toy.run()


def with_digests(toy: Toy, label: str, seed: int, **changes: object) -> None:
    """Let a run's provenance hold digests and the hash of one data file."""
    path = run_dir(toy.results, "toy", label, 0, seed) / "provenance.json"
    made = json.loads(path.read_text()) | {
        "code_digest": "c0de",
        "config_digest": "c0f1",
        "lock_digest": "10c4",
    }
    made |= {"stage": "train", "inputs": {"../../../../data/toy/folds.json": "f01d" + "0" * 60}} | changes
    path.write_text(json.dumps(made))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"code_digest": "beef"}, r"code_digest of train: beef \(fold0_seed1\), c0de \(fold0_seed0\)"),
        ({"config_digest": "beef"}, r"config_digest of train: beef \(fold0_seed1\), c0f1 \(fold0_seed0\)"),
        ({"lock_digest": "beef"}, r"lock_digest of train: 10c4 \(fold0_seed0\), beef \(fold0_seed1\)"),
        (
            {"inputs": {"../../../../data/toy/folds.json": "beef" + "0" * 60}},
            r"data/toy/folds.json: beef0{12} \(fold0_seed1\), f01d0{12} \(fold0_seed0\)",
        ),
    ],
)
def test_a_row_of_mixed_runs_is_refused(toy: Toy, changes: dict[str, object], line: str) -> None:
    for seed in (0, 1):
        with_digests(toy, "unet_pce", seed, **(changes if seed else {}))
    with pytest.raises(ValueError, match=line) as caught:
        toy.run()
    text = str(caught.value)
    assert "runs/toy/unet_pce: the runs of row unet_pce were made from different things:" in text
    assert "Delete the folders of the odd runs and run the study again, or set `allow_mixed: true`" in text
    assert not toy.output.exists()


def test_runs_of_other_devices_and_rows_of_other_code_are_not_mixed(toy: Toy) -> None:
    for seed, device in ((0, "cpu"), (1, "NVIDIA H100")):
        with_digests(toy, "unet_pce", seed, device=device, hardware={"cores": seed}, commit=str(seed))
        with_digests(toy, "cyclemix", seed, code_digest="other", config_digest="other")
    toy.run()
    assert "mixed" not in toy.text("comparison.md")


def test_mixed_runs_may_be_allowed_and_are_marked(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    for seed in (0, 1):
        with_digests(toy, "unet_pce", seed, lock_digest=f"lock{seed}")
    tables.run(toy.results, toy.dataset, toy.study, toy.output, toy.published, allow_mixed=True)
    assert "lock_digest of train: lock0 (fold0_seed0), lock1 (fold0_seed1)" in caplog.text
    assert row_of(toy.text("comparison.md"), "unet\\_pce")[0].startswith("unet\\_pce *(mixed runs)*")
    assert json.loads(toy.text("provenance.json"))["settings"]["mixed"] == ["unet_pce"]


def swept(toy: Toy) -> Toy:
    """``unet_pce`` as a point of 5 subjects and a quarter of ``cyclemix``'s scribbles."""
    for label, point in (
        ("cyclemix", {"method": "cyclemix", "subjects": None, "fraction": 1.0}),
        ("unet_pce", {"method": "cyclemix", "subjects": 5, "fraction": 0.25}),
    ):
        toy.study["methods"][label]["budget"] = point
        for seed, pixels in enumerate((1000, 1300)):
            path = run_dir(toy.results, "toy", label, 0, seed) / "provenance.json"
            amounts = {"subjects": 5, "scribbled_cases": 8, "dense_cases": 2, "labelled_pixels": pixels}
            path.write_text(json.dumps(json.loads(path.read_text()) | {"training_data": amounts}))
    return toy


def test_efficiency_has_one_row_per_budget_with_the_training_data(toy):
    swept(toy).run()
    table, summary = toy.csv("efficiency"), toy.csv("summary")
    assert list(table["label"]) == ["cyclemix", "unet_pce"]
    assert list(table["method"]) == ["cyclemix", "cyclemix"]
    point = table.iloc[1]
    assert (point["subjects"], point["scribble_fraction"], point["labelled_pixels"]) == (5, 0.25, 1150)
    dice = summary[(summary["method"] == "unet_pce") & (summary["metric"] == "dice")].set_index("structure")
    assert point["dice"] == pytest.approx(dice.loc["Avg", "mean"])
    assert point["ci_low"] < point["dice"] < point["ci_high"]
    raw = toy.csv("summary_as_predicted").query("method == 'unet_pce' and metric == 'dice'")
    assert point["dice_as_predicted"] == pytest.approx(raw.set_index("structure").loc["Avg", "mean"])
    text = toy.text("comparison.md")
    assert "Annotation budget" in text
    assert "1,150" in text
    assert "cyclemix: trained on 8 scribbled and 2 densely labelled cases." in text


def test_without_a_sweep_there_is_a_header_and_no_word_of_it(done):
    assert done.csv("efficiency").empty
    text = done.text("comparison.md")
    assert "Annotation budget" not in text
    assert "densely labelled" not in text


def test_the_figure_of_a_sweep_is_drawn_from_its_table(toy, tmp_path):
    swept(toy).run()
    target = table_dir(toy.results, "toy")
    target.mkdir(parents=True, exist_ok=True)
    with pytest.raises(ValueError, match=r"efficiency.csv: no such file; run tabulate first"):
        efficiency_figure.run(toy.results, toy.dataset, toy.study, tmp_path)
    text = (toy.output / "efficiency.csv").read_text()
    (target / "efficiency.csv").write_text(text.splitlines()[0] + "\n")
    with pytest.raises(ValueError, match=r"no rows; add an `efficiency` block"):
        efficiency_figure.run(toy.results, toy.dataset, toy.study, tmp_path)
    (target / "efficiency.csv").write_text(text)
    efficiency_figure.run(toy.results, toy.dataset, toy.study, tmp_path)
    first = (tmp_path / "efficiency.png").read_bytes()
    efficiency_figure.run(toy.results, toy.dataset, toy.study, tmp_path)
    assert (tmp_path / "efficiency.png").read_bytes() == first, "equal input, equal bytes"


def test_tables_say_that_trainings_were_shortened(toy: Toy) -> None:
    toy.study["methods"]["unet_pce"]["shortened"] = {"from": 24000, "to": 2}
    toy.study["methods"]["maag"]["shortened"] = {"from": 3000, "to": 2}
    toy.run()
    words = "Trainings shortened by at_most_steps, not the methods' own results: 2 of 24000 steps: unet_pce."
    assert words in toy.text("comparison.md")
    assert "shortened" in toy.text("comparison.html")
    assert "2 of its 24000 steps" in toy.text("comparison.html")
    assert "2 of 24000 steps" in toy.text("overview.rst")


def test_a_study_shortened_as_a_whole_says_so_once(toy: Toy) -> None:
    for label in BASE:
        toy.study["methods"][label]["shortened"] = {"from": 3000, "to": 800}
    toy.run()
    assert "not the methods' own results: 800 of 3000 steps: all rows." in toy.text("comparison.md")
    assert "800 of its 3000 steps" not in toy.text("comparison.html")


def test_tables_of_whole_trainings_say_nothing_of_it(done: Toy) -> None:
    assert "shortened" not in done.text("comparison.md") + done.text("comparison.html")
