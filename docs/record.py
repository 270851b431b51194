"""Record a study's finished runs in benchmarks/studies, for the tables and the figure of the pages.

python docs/record.py results --study config/config.yaml
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from cyclemix.config.strict import load_yaml
from cyclemix.report import tables
from cyclemix.study import collect
from cyclemix.study.plan import Plan, plan

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ROOT / "benchmarks" / "studies"
SUMMARIES = ("summary.csv", "summary_as_predicted.csv", "significance.csv", "clinical.csv")
SWEEP = ("efficiency.csv",)
"""What is kept of a study with an `efficiency` block; its runs lie beside those of the comparison."""


def record(results: Path, study: Path) -> None:
    """Collect the finished runs in benchmarks/studies/{dataset}, beside those of the same code there.

    The study's recipe may have been run on other data sets than its own, e.g. acdc70.

    Raises:
        ValueError: no finished run, or one whose recipe, code or data differ from those recorded; names it.
    """
    finished = sorted({path.parts[-4] for path in results.glob("runs/*/*/fold*_seed*/metrics.csv")})
    if not finished:
        raise ValueError(f"{results}: expected a results folder, found no runs/*/*/fold*_seed*/metrics.csv")
    for dataset in finished:
        made = plan({**load_yaml(study), "datasets": [dataset]}, ROOT, str(study))
        refused = collect.run([results], STUDIES / dataset, dataset=dataset).refused
        if refused:
            raise ValueError("; ".join(refused))
        tabulate(STUDIES / dataset, made, dataset)


def tabulate(kept: Path, made: Plan, dataset: str) -> None:
    """Write a study's summaries of the collected runs of a data set, from their scores per case."""
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch)
        tables.run(kept, made.dataset_file(dataset), collect.described(made, dataset, kept), written)
        (kept / "summaries" / dataset).mkdir(parents=True, exist_ok=True)
        for name in SWEEP if made.study.efficiency else SUMMARIES:
            shutil.copyfile(written / name, kept / "summaries" / dataset / name)


def main() -> None:
    """Record the runs of the given results folders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", help="results folders of the study")
    parser.add_argument("--study", type=Path, default=ROOT / "config" / "config.yaml", help="its YAML file")
    given = parser.parse_args()
    for results in given.results:
        record(results, given.study)


if __name__ == "__main__":
    main()
