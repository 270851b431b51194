"""Write the tables of README.md and docs/ from the recorded results in benchmarks/studies.

    python docs/tables.py

A table is the text between ``<!-- table: STUDY KIND -->`` and ``<!-- /table -->``. STUDY is a folder of
benchmarks/studies, a collected results folder of one data set with its summaries, KIND a key of `KINDS`;
or STUDY is ``rows``, the rows of config/methods.yaml, and KIND a key of `ROWS`. The headline studies are also
drawn, as docs/img/ranking.png and sensitivity_{dataset}.png.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from cyclemix.config.study import load_methods
from cyclemix.data.datasets import DatasetSpec, load_dataset
from cyclemix.evaluation.statistics import AVERAGE
from cyclemix.report import published, ranking
from cyclemix.report.plots import efficiency, style
from cyclemix.report.plots.ranking import draw
from cyclemix.report.wording import interval, p_words
from cyclemix.study import catalogue

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ROOT / "benchmarks" / "studies"
TABLE = re.compile(r"(<!-- table: (\S+) (\S+) -->\n).*?(<!-- /table -->)", re.DOTALL)
SUMMARIES = ("summary.csv", "summary_as_predicted.csv")
HEADLINE = ("unet_pce", "gated_crf", "shapepu", "cyclemix", "cyclemix_released", "unet_full")
"""The rows of README's table, as far as they are recorded."""
ABLATION = ("unet_pce", "cyclemix_1", "cyclemix_2", "cyclemix_3", "cyclemix_4", "cyclemix")
"""The paper's ablation, one term added per row; the first two have the same loss."""
HEADLINE_STUDIES = {"acdc": "ACDC", "mscmr": "MSCMRseg"}

SUPERVISION = {"scribble": "scribbles", "scribble+masks": "scribbles and masks", "full": "dense labels"}


def pages() -> list[Path]:
    """README.md and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def rewritten(text: str, where: str) -> str:
    """``text`` with every table written anew from its recorded study."""

    def table(match: re.Match[str]) -> str:
        opening, study, kind, closing = match.groups()
        if study == "rows" and kind in ROWS:
            return f"{opening}{ROWS[kind]()}\n{closing}"
        if kind not in KINDS or not (STUDIES / study / "summaries").is_dir():
            known = ", ".join(sorted(folder.name for folder in STUDIES.iterdir()))
            raise ValueError(
                f"{where}: table {study} {kind}: expected one of {known} and of {', '.join(KINDS)}"
            )
        return f"{opening}{KINDS[kind](STUDIES / study)}\n{closing}"

    return TABLE.sub(table, text)


def runs(study: Path) -> str:
    """Mean Dice, training time and threads; one row per run, which shows the seeds."""
    heads = ["method", "fold", "seed", "Dice", "as predicted", "steps", "training (s)", "threads"]
    lines = [_row(heads), _row(["---", *["---:"] * 7])]
    for folder, origin in zip(_runs(study), _origins(study), strict=True):
        dice = [_mean_dice(folder / name) for name in ("metrics.csv", "metrics_as_predicted.csv")]
        values = [origin["fold"], origin["seed"], *dice, origin["steps"], f"{origin['training_seconds']:.0f}"]
        lines.append(
            _row([f"`{origin['label']}`", *map(str, values), ", ".join(map(str, origin["threads"]))])
        )
    return "\n".join(lines)


def comparison(study: Path) -> str:
    """Every row, best mean Dice first within its supervision, beside the published number of that method."""
    path = _summary(study, "summary.csv")
    dataset = path.parent.name
    summary, raw = (pd.read_csv(path.with_name(name)) for name in SUMMARIES)
    averages = _averages(path)
    structures = [name for name in dict.fromkeys(summary["structure"]) if name != AVERAGE]
    found, before = (
        table.set_index(["method", "metric", "structure"]).sort_index() for table in (summary, raw)
    )
    papers, minutes = _published(dataset), _minutes(study)
    heads = ["method", "runs", *(f"Dice {s}" for s in structures), "Dice, mean [95 % interval]"]
    heads += ["as predicted", *["published"] * bool(papers), "HD95 (mm)", "missed", "CPU minutes"]
    lines = [_row(heads), _row(["---", *["---:"] * (len(heads) - 1)])]
    for supervision, words in SUPERVISION.items():
        rows = averages[averages["supervision"] == supervision].sort_values("mean", ascending=False)
        if len(rows):
            lines.append(_row([f"**{words}**", *[""] * (len(heads) - 1)]))
        for row in rows.itertuples():
            label, runs = str(row.Index), str(row.n_runs)
            each = [f"{found.loc[(label, 'dice', s), 'mean']:.3f}" for s in structures]
            average = f"{row.mean:.3f} {interval(row.ci_low, row.ci_high)}"
            cells = [f"`{label}`", runs, *each, average]
            cells.append(f"{before.loc[(label, 'dice', AVERAGE), 'mean']:.3f}")
            cells += [papers.get(label, "")] * bool(papers)
            cells.append(f"{found.loc[(label, 'hd95_mm', AVERAGE), 'mean']:.1f}")
            lines.append(_row([*cells, f"{row.n_missed:.0f}", minutes.get(label, "")]))
    return "\n".join([*lines, "", _origin(study)])


def differences(study: Path) -> str:
    """Mean Dice of every row against the reference row, paired by patient; largest difference first."""
    tests = pd.read_csv(_summary(study, "significance.csv"))
    tests = tests.query("metric == 'dice' and structure == @AVERAGE")
    heads = ["method", "patients", "difference in mean Dice [95 % interval]", "p (Holm)"]
    lines = [_row(heads), _row(["---", *["---:"] * 3])]
    for test in tests.sort_values("mean_difference", ascending=False).itertuples():
        shown = f"{test.mean_difference:+.3f} {interval(test.ci_low, test.ci_high, '+.3f')}"
        name = f"`{test.method}` - `{test.compare_to}`"
        lines.append(_row([name, f"{test.n_patients:.0f}", shown, p_words(test.p_holm)]))
    return "\n".join(lines)


def clinical(study: Path) -> str:
    """Volumes at end-diastole and end-systole and ejection fractions against the truth: bias and its SD."""
    values = pd.read_csv(_summary(study, "clinical.csv"))
    measures = list(dict.fromkeys(zip(values["structure"], values["measure"], values["unit"], strict=True)))
    names = [
        f"{structure} {measure if measure == 'mass' else measure.upper()} ({unit})"
        for structure, measure, unit in measures
    ]
    lines = [_row(["method", *names]), _row(["---", *["---:"] * len(names)])]
    for method, rows in values.groupby("method", sort=False):
        found = rows.set_index(["structure", "measure"])
        cells = [found.loc[(structure, measure)] for structure, measure, _ in measures]
        lines.append(_row([f"`{method}`", *(f"{cell['bias']:+.1f} ± {cell['sd']:.1f}" for cell in cells)]))
    return "\n".join(lines)


def budgets(study: Path) -> str:
    """Mean Dice by number of training subjects, cleaned and as predicted."""
    points = pd.read_csv(_summary(study, "efficiency.csv"))
    counts = sorted(points["subjects"].unique())
    lines = [_row(["training subjects", *(f"{count:g}" for count in counts)])]
    lines.append(_row(["---", *["---:"] * len(counts)]))
    for method, rows in points.groupby("method", sort=False):
        found = rows.set_index("subjects")
        shown = {n: f"{p['dice']:.3f}, {p['dice_as_predicted']:.3f}" for n, p in found.iterrows()}
        lines.append(_row([f"`{method}`", *(shown.get(count, "") for count in counts)]))
    return "\n".join(lines)


KINDS: dict[str, Callable[[Path], str]] = {
    "runs": runs,
    "comparison": comparison,
    "differences": differences,
    "clinical": clinical,
    "budgets": budgets,
}
"""What a table shows of a study."""


def sources() -> str:
    """The code that was read for each row of config/methods.yaml."""
    rows: dict[str, list[str]] = {}
    for label, block in load_methods(ROOT / "config" / "methods.yaml").items():
        source = block.source
        words = "none" if source == "none" else f"{source.repository} `{source.commit}`, `{source.file}`"
        rows.setdefault(words, []).append(f"`{label}`")
    lines = [_row([", ".join(labels), words]) for words, labels in rows.items()]
    return "\n".join([_row(["rows", "source"]), _row(["---", "---"]), *lines])


def departures() -> str:
    """What each method and network does differently from its source; one row per departure."""
    lines = [_row(["file", "departure"]), _row(["---", "---"])]
    for name, items in catalogue.departures(ROOT).items():
        cells = [" ".join(item.replace("``", "`").replace("|", "\\|").split()) for item in items]
        lines += [_row([f"`{name}`", cell]) for cell in cells]
    return "\n".join(lines)


def chosen(labels: Sequence[str]) -> str:
    """Mean Dice of some rows on both data sets of the headline, beside the published one."""
    heads, kept = ["method", "trained on", "runs"], {}
    for name, title in HEADLINE_STUDIES.items():
        folder = STUDIES / name / "summaries" / name
        cleaned, raw = (_averages(folder / file) for file in SUMMARIES)
        kept[name] = cleaned, raw, _published(name)
        heads += [f"{title} [95 % interval]", "as predicted", "published"]
    lines = [_row(heads), _row(["---", "---", *["---:"] * (len(heads) - 2)])]
    for label in labels:
        runs, cells = [], []
        for cleaned, raw, papers in kept.values():
            if label in cleaned.index:
                row = cleaned.loc[label]
                runs.append(str(row["n_runs"]))
                trained_on = SUPERVISION[str(row["supervision"])]
                shown = f"{row['mean']:.3f} {interval(row['ci_low'], row['ci_high'])}"
                cells += [shown, f"{raw.loc[label, 'mean']:.3f}", papers.get(label, "")]
            else:
                cells += [""] * 3
        if runs:
            lines.append(_row([f"`{label}`", trained_on, ", ".join(dict.fromkeys(runs)), *cells]))
    return "\n".join(lines)


def cost() -> str:
    """Core hours of one training per row: as seed 0 was recorded, and in bf16 where a seed was trained so."""
    heads = ["data set", "trainings", "core hours, seed 0 as recorded", "rows with a training in bf16"]
    heads += ["core hours with the mean of these"]
    # Fewer subjects are another study.
    rows = load_methods(ROOT / "config" / "methods.yaml")
    found: list[tuple[int, float, int, float]] = []
    for name in HEADLINE_STUDIES:
        first: dict[str, float] = {}
        faster: dict[str, list[float]] = {}
        for origin in _origins(STUDIES / name):
            label, hours = origin["label"], origin["cpu_seconds"] / 3600
            if label in rows and origin["seed"] == 0:
                first[label] = hours
            if label in rows and origin["precision"] == "bf16":
                faster.setdefault(label, []).append(hours)
        means = {label: statistics.mean(hours) for label, hours in faster.items()}
        found.append((len(first), sum(first.values()), len(means), sum({**first, **means}.values())))
    a, b, c, d = zip(*found, strict=True)
    found.append((sum(a), sum(b), sum(c), sum(d)))
    lines = [_row(heads), _row(["---", *["---:"] * 4])]
    for title, (count, recorded, measured, mixed) in zip(
        [*HEADLINE_STUDIES.values(), "both"], found, strict=True
    ):
        lines.append(_row([title, str(count), f"{recorded:.1f}", str(measured), f"{mixed:.1f}"]))
    return "\n".join(lines)


ROWS: dict[str, Callable[[], str]] = {
    "sources": sources,
    "departures": departures,
    "headline": partial(chosen, HEADLINE),
    "ablation": partial(chosen, ABLATION),
    "cost": cost,
}
"""What a table shows of the rows."""


def _runs(study: Path) -> list[Path]:
    return [path.parent for path in sorted((study / "runs").glob("*/*/fold*_seed*/provenance.json"))]


def _origins(study: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / "provenance.json").read_text()) for folder in _runs(study)]


def _per_case(study: Path) -> pd.DataFrame:
    """Scores of all runs, as in ``per_case.csv``."""
    return pd.concat(
        pd.read_csv(folder / "metrics.csv").assign(method=o["label"], fold=o["fold"], seed=o["seed"])
        for folder, o in zip(_runs(study), _origins(study), strict=True)
    )


def _summary(study: Path, name: str) -> Path:
    """A table of the study's data set."""
    (path,) = study.glob(f"summaries/*/{name}")
    return path


def _mean_dice(path: Path) -> str:
    """Mean over patients of the mean over their volumes and structures."""
    return f"{pd.read_csv(path).groupby('subject')['dice'].mean().mean():.3f}" if path.is_file() else ""


def _origin(study: Path) -> str:
    """Commit, processor and seeds of all runs, as the line below a table."""
    origins = _origins(study)
    commits = sorted({f"`{o['commit'][:7]}`" + " (edited)" * bool(o["dirty"]) for o in origins})
    devices = [name + mark for name, mark in _marks(origins).items()]
    seeds = ", ".join(map(str, sorted({o["seed"] for o in origins})))
    torch = ", ".join(sorted({o["versions"]["torch"] for o in origins}))
    return f"Seed {seeds}; commit {', '.join(commits)}; torch {torch}; {', '.join(devices)}.\n"


def _averages(path: Path) -> pd.DataFrame:
    """Mean Dice of each method of a summary, by its label."""
    rows = pd.read_csv(path).query("metric == 'dice' and structure == @AVERAGE").dropna(subset="mean")
    return rows.set_index("method")


def _published(dataset: str) -> dict[str, str]:
    """Published mean Dice by the label of our row, for as many training subjects as the official split."""
    count, found = len(_dataset(dataset).official.get("train", [])), {}
    for row in published.rows_of(dataset):
        value = row.values.get(("dice", AVERAGE))
        if row.row and row.subjects == count and value is not None:
            found[row.row] = f"{value[0]:.3f}"
    return found


def _dataset(name: str) -> DatasetSpec:
    return load_dataset(ROOT / "config" / "datasets" / f"{name}.yaml")


def _device(origin: Mapping[str, Any]) -> str:
    """What a run was trained on and in which precision, e.g. ``AMD EPYC in fp32``."""
    name = ", ".join(origin["hardware"]["gpus"]) or str(origin["hardware"]["cpu"])
    return f"{name} in {origin['precision']}"


def _marks(origins: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Mark of each device of a study, `` (a)``, by its name; empty if there is only one."""
    devices = sorted(set(map(_device, origins)))
    return {name: f" ({chr(ord('a') + i)})" * (len(devices) > 1) for i, name in enumerate(devices)}


def _minutes(study: Path) -> dict[str, str]:
    """Mean processor minutes of a row's trainings on each device, by label, with the mark of the device."""
    origins, found = _origins(study), {}
    minutes: dict[str, dict[str, list[float]]] = {}
    for origin in origins:
        by_device = minutes.setdefault(origin["label"], {})
        by_device.setdefault(_device(origin), []).append(origin["cpu_seconds"] / 60)
    marks = _marks(origins)
    for label, by_device in minutes.items():
        found[label] = ", ".join(
            f"{statistics.mean(by_device[name]):.1f}{marks[name]}" for name in sorted(by_device)
        )
    return found


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def draw_ranking(folder: Path) -> None:
    """Draw ``ranking.png``: mean Dice of every recorded row of the headline's data sets."""
    panels = [
        ranking.panel(STUDIES / name / "summaries" / name, _dataset(name), _per_case(STUDIES / name))
        for name in HEADLINE_STUDIES
    ]
    with style.styled():
        style.save(draw(panels), folder, "ranking")


def draw_budgets(folder: Path) -> None:
    """Draw ``sensitivity_{dataset}.png``: Dice by the number of training subjects, where it is recorded."""
    for name, title in HEADLINE_STUDIES.items():
        path = STUDIES / name / "summaries" / name / "efficiency.csv"
        if path.is_file():
            points = pd.read_csv(path)
            colours = style.method_colours(dict(points[["method", "supervision"]].values), "cyclemix")
            heading = (
                f"{title}: Dice by annotation budget",
                "test patients, cleaned; 95 % bootstrap intervals over patients; all subjects: three seeds",
            )
            with style.styled():
                style.save(efficiency.draw(points, colours, heading), folder, f"sensitivity_{name}")


def main() -> None:
    """Rewrite the tables of all pages and the figures."""
    for page in pages():
        before = page.read_text()
        after = rewritten(before, str(page.relative_to(ROOT)))
        if after != before:
            page.write_text(after)
    draw_ranking(ROOT / "docs" / "img")
    draw_budgets(ROOT / "docs" / "img")


if __name__ == "__main__":
    main()
