"""Means, intervals and tests over patients.

One number per patient: seeds (and folds, where a case is evaluated in several) are averaged per case, then
the frames of a patient. Nothing here counts frames, slices or seeds as independent observations.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

METRICS = ("dice", "hd_mm", "hd95_mm", "assd_mm")
HIGHER_IS_BETTER = {"dice": True, "hd_mm": False, "hd95_mm": False, "assd_mm": False}
AVERAGE = "Avg"
"""The mean over a case's structures, as a structure of its own."""

RESAMPLES = 10_000
ALPHA = 0.05
CONFIDENCE = 0.95

SUMMARY_COLUMNS = (
    "dataset",
    "method",
    "supervision",
    "structure",
    "metric",
    "mean",
    "std",
    "ci_low",
    "ci_high",
    "n_cases",
    "n_missed",
    "n_runs",
)
SIGNIFICANCE_COLUMNS = (
    "dataset",
    "metric",
    "structure",
    "method",
    "compare_to",
    "n_patients",
    "n_nonzero",
    "mean_method",
    "mean_compare_to",
    "mean_difference",
    "ci_low",
    "ci_high",
    "effect_size",
    "p_value",
    "p_holm",
    "n_comparisons",
    "smallest_p",
    "smallest_p_holm",
    "claim",
)


def patient_means(per_case: pd.DataFrame) -> pd.DataFrame:
    """One value per patient: seeds averaged per case, then the cases of a subject.

    Args:
        per_case: columns of ``per_case.csv``; one row per method, run, case and structure.

    Returns:
        Index (method, structure, subject), columns of :data:`METRICS`; :data:`AVERAGE` is among the
        structures.
    """
    metrics = list(METRICS)
    cases = per_case.groupby(["method", "subject", "case", "structure"], sort=True)[metrics].mean()
    average = cases.groupby(["method", "subject", "case"]).mean().assign(structure=AVERAGE)
    average = average.set_index("structure", append=True)
    patients = (
        pd.concat([cases, average]).groupby(["method", "structure", "subject"], sort=True)[metrics].mean()
    )
    return patients


def summarise(
    per_case: pd.DataFrame, supervision: Mapping[str, str], structures: Sequence[str]
) -> pd.DataFrame:
    """Mean, standard deviation and bootstrap interval over patients of every method, structure and metric.

    ``n_missed`` counts missed structures over all runs (one that three seeds miss counts three times),
    ``n_cases`` volumes and ``n_runs`` trainings (folds x seeds).

    Args:
        per_case: columns of ``per_case.csv`` of one data set.
        supervision: supervision of each method label.
        structures: in the order of tables, without the average.

    Returns:
        :data:`SUMMARY_COLUMNS`; methods in the order of ``supervision``, structures as given, then
        the average.
    """
    patients = patient_means(per_case)
    present = set(per_case["method"])
    rows = []
    for method in (label for label in supervision if label in present):
        own = per_case[per_case["method"] == method]
        constant = {
            "dataset": own["dataset"].iloc[0],
            "method": method,
            "supervision": supervision[method],
            "n_cases": own["case"].nunique(),
            "n_runs": len(own[["fold", "seed"]].drop_duplicates()),
        }
        for structure in (*structures, AVERAGE):
            missed = (
                own["missed"] if structure == AVERAGE else own.loc[own["structure"] == structure, "missed"]
            )
            named = constant | {"structure": structure, "n_missed": int(missed.sum())}
            for metric in METRICS:
                values = _values(patients, method, structure, metric)
                rows.append(named | {"metric": metric} | _spread(values))
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _values(patients: pd.DataFrame, method: str, structure: str, metric: str) -> FloatArray:
    return np.asarray(patients.xs((method, structure))[metric], dtype=np.float64)


def _spread(values: FloatArray) -> dict[str, float]:
    low, high = bootstrap_interval(values)
    std = float(values.std(ddof=1)) if values.size > 1 else float("nan")
    return {"mean": float(values.mean()), "std": std, "ci_low": low, "ci_high": high}


def bootstrap_interval(values: FloatArray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean over patients.

    The resampling depends only on the number of patients and the seed: it is the same for all methods.

    Args:
        values: (n,), one per patient.

    Returns:
        Lower and upper bound; NaN for fewer than two patients, whose spread is unknown.
    """
    if values.size < 2:
        return float("nan"), float("nan")
    draws = _draws(values.size, seed)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values[draws].mean(axis=1), (tail, 1 - tail))
    return float(low), float(high)


@lru_cache(maxsize=4)
def _draws(size: int, seed: int) -> NDArray[np.int64]:
    """(RESAMPLES, size) positions of patients."""
    return np.random.default_rng(seed).integers(0, size, (RESAMPLES, size))


def compare(per_case: pd.DataFrame, compare_to: str) -> pd.DataFrame:
    """Paired comparison over patients of every method against ``compare_to``, on the mean over structures.

    Exact two-sided Wilcoxon signed-rank test; Holm's correction runs over the methods of one metric.
    ``effect_size`` is the matched-pairs rank-biserial correlation, positive where the method is better.
    ``smallest_p`` is the smallest possible p for this number of non-zero differences; ``claim`` never
    states a difference if it, or its corrected value, is above .05.

    Args:
        per_case: columns of ``per_case.csv`` of one data set.
        compare_to: the label that all other methods are tested against.

    Returns:
        :data:`SIGNIFICANCE_COLUMNS`; no rows if ``compare_to`` was not run or is the only method.

    Raises:
        ValueError: two methods were not evaluated on the same patients; names the methods and patients.
    """
    patients = patient_means(per_case)
    labels = [label for label in dict.fromkeys(per_case["method"]) if label != compare_to]
    if compare_to not in set(per_case["method"]):
        log.warning("compare_to: %s has no runs here, so nothing is tested; runs of: %s", compare_to, labels)
        return pd.DataFrame(columns=list(SIGNIFICANCE_COLUMNS))
    for label in labels:
        _check_paired(patients, label, compare_to)
    rows = []
    for metric in METRICS:
        reference = _values(patients, compare_to, AVERAGE, metric)
        tested = [
            _test(label, _values(patients, label, AVERAGE, metric), reference, metric) for label in labels
        ]
        rows += _correct(tested)
    constant = {"dataset": per_case["dataset"].iloc[0], "structure": AVERAGE, "compare_to": compare_to}
    return pd.DataFrame([row | constant for row in rows], columns=list(SIGNIFICANCE_COLUMNS))


def signed_rank(differences: FloatArray) -> tuple[float, float, int]:
    """Exact two-sided Wilcoxon signed-rank test of paired differences.

    Zero differences are dropped, ties get average ranks; the p value counts all 2^n sign patterns of the
    ranks at hand (by dynamic programming), so it is exact for any n and with ties.

    Args:
        differences: (n,).

    Returns:
        p value, rank-biserial correlation (W+ - W-) / (W+ + W-), and the number of non-zero differences.
    """
    rounded = np.round(differences, 12)  # equal scores differ in the last bit after averaging seeds
    kept = rounded[rounded != 0]
    if kept.size == 0:
        return 1.0, 0.0, 0
    doubled = np.rint(2 * rankdata(np.abs(kept))).astype(np.int64)  # average ranks are multiples of a half
    total, positive = int(doubled.sum()), int(doubled[kept > 0].sum())
    probability = np.zeros(total + 1)
    probability[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(probability)
        shifted[rank:] = probability[: probability.size - rank]
        probability = (probability + shifted) / 2
    smaller = min(positive, total - positive)
    p_value = min(1.0, 2.0 * float(probability[: smaller + 1].sum()))
    return p_value, (2 * positive - total) / total, int(kept.size)


def smallest_p(n_nonzero: int) -> float:
    """Smallest two-sided p of the signed-rank test of so many non-zero differences: 2 / 2^n."""
    return min(1.0, 2.0 ** (1 - n_nonzero))


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's correction: sorted p times (m, m-1, ..., 1), made monotone, at most 1; in input order."""
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(p_values.size, 0, -1)
    corrected = np.empty_like(scaled)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def _test(label: str, values: FloatArray, reference: FloatArray, metric: str) -> dict[str, Any]:
    difference = values - reference
    p_value, effect, nonzero = signed_rank(difference)
    low, high = bootstrap_interval(difference)
    return {
        "metric": metric,
        "method": label,
        "n_patients": values.size,
        "n_nonzero": nonzero,
        "mean_method": values.mean(),
        "mean_compare_to": reference.mean(),
        "mean_difference": difference.mean(),
        "ci_low": low,
        "ci_high": high,
        "effect_size": effect if HIGHER_IS_BETTER[metric] else 0.0 - effect,
        "p_value": p_value,
        "smallest_p": smallest_p(nonzero),
    }


def _correct(family: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add Holm-corrected p values, the smallest possible ones, and the claim."""
    if not family:
        return []
    corrected = holm(np.array([row["p_value"] for row in family], dtype=np.float64))
    rows = []
    for row, p_holm in zip(family, corrected, strict=True):
        least = min(1.0, float(row["smallest_p"]) * len(family))
        added = {"p_holm": float(p_holm), "n_comparisons": len(family), "smallest_p_holm": least}
        rows.append(row | added | {"claim": _claim(row, float(p_holm), least)})
    return rows


def _claim(row: dict[str, Any], p_holm: float, least: float) -> str:
    if float(row["smallest_p"]) > ALPHA:
        return f"no claim: {row['n_nonzero']} differing patients cannot give p below {row['smallest_p']:.3g}"
    if least > ALPHA:
        return f"no claim: after Holm's correction p cannot fall below {least:.3g}"
    if p_holm > ALPHA:
        return "no significant difference"
    return "better" if float(row["effect_size"]) > 0 else "worse"


def _check_paired(patients: pd.DataFrame, label: str, compare_to: str) -> None:
    subjects = [set(patients.xs((name, AVERAGE)).index) for name in (label, compare_to)]
    unpaired = sorted(subjects[0] ^ subjects[1])
    if unpaired:
        raise ValueError(
            f"{label} and {compare_to} were evaluated on different patients ({', '.join(unpaired)}); "
            "a paired test needs the same ones: run both for the same folds"
        )
