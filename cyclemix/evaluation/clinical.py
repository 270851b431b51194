"""Clinical measures of a segmentation: volumes, ejection fraction, mass, and Dice by level of the heart.

For data sets with end-diastolic and end-systolic frames. Volumes are from ``metrics.csv``;
agreement with the truth follows Bland and Altman (Lancet 1986): bias, and bias +- 1.96 SD as limits.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from cyclemix.data.datasets import DatasetSpec, cardiac_phase
from cyclemix.evaluation.statistics import AVERAGE

MYOCARDIAL_DENSITY = 1.05
"""g/mL, the value of the cardiac MR guidelines (Schulz-Menger et al., JCMR 2020)."""

LIMITS = 1.96
"""Limits of agreement: bias +- this many standard deviations."""

UNITS = {"edv": "mL", "esv": "mL", "ef": "%", "mass": "g"}
STRUCTURES = {"edv": ("LV", "RV"), "esv": ("LV", "RV"), "ef": ("LV", "RV"), "mass": ("MYO",)}
"""The structures that have a measure."""

PATIENT_COLUMNS = ("dataset", "method", "subject", "structure", "measure", "unit", "pred", "true")
AGREEMENT_COLUMNS = (
    "dataset",
    "method",
    "structure",
    "measure",
    "unit",
    "n_patients",
    "mean_pred",
    "mean_true",
    "bias",
    "sd",
    "loa_low",
    "loa_high",
    "mean_abs_error",
    "correlation",
)
LEVEL_COLUMNS = ("dataset", "method", "structure", "level", "dice_mean", "dice_std", "n_patients")


def phase_of(spec: DatasetSpec, case: str, subject: str) -> str | None:
    """``ED``, ``ES`` or None for a case, by its name and the data set's ``cardiac_frames``."""
    if spec.cardiac_frames is None or "{frame}" not in spec.case:
        return None
    pattern = re.escape(spec.case).replace(r"\{subject\}", re.escape(subject), 1)
    match = re.fullmatch(pattern.replace(r"\{frame\}", "(?P<frame>.+)", 1), case)
    return None if match is None else cardiac_phase(spec, subject, match["frame"])


def measures(per_case: pd.DataFrame, spec: DatasetSpec) -> pd.DataFrame:
    """EDV, ESV, EF of each chamber and the myocardial mass at end-diastole, per method and patient.

    Each is computed per run and then averaged over runs. The ejection fraction of an empty end-diastolic
    chamber counts as 0, so that a missed ventricle shows as an error.

    Args:
        per_case: columns of ``per_case.csv`` of one data set.

    Returns:
        :data:`PATIENT_COLUMNS`; empty for a data set without ED and ES frames.
    """
    named = per_case[["case", "subject"]].drop_duplicates()
    phases = {case: phase_of(spec, case, subject) for case, subject in named.itertuples(index=False)}
    table = per_case.assign(phase=per_case["case"].map(phases)).dropna(subset=["phase"])
    if table.empty:
        return pd.DataFrame(columns=list(PATIENT_COLUMNS))
    keys = ["dataset", "method", "fold", "seed", "subject", "structure"]
    table = table.rename(columns={"volume_pred_ml": "pred", "volume_true_ml": "true"})
    table = table.drop_duplicates([*keys, "phase"], keep="last").set_index(keys)
    edv, esv = (table.loc[table["phase"] == phase, ["pred", "true"]] for phase in ("ED", "ES"))
    full, left = edv.align(esv, join="inner", axis=0)
    ef = (100.0 * (full - left) / full).where(full > 0, 0.0)
    each = {"edv": edv, "esv": esv, "ef": ef, "mass": edv * MYOCARDIAL_DENSITY}
    own = {name: rows[rows.index.isin(STRUCTURES[name], level="structure")] for name, rows in each.items()}
    found = pd.concat(own, names=["measure"]).reset_index()
    found["unit"] = found["measure"].map(UNITS)
    keys = ["dataset", "method", "subject", "structure", "measure", "unit"]
    return found.groupby(keys, sort=True, as_index=False)[["pred", "true"]].mean()


def agreement(patients: pd.DataFrame) -> pd.DataFrame:
    """Bland-Altman bias (pred - true) and limits of every method and measure.

    Args:
        patients: what :func:`measures` returned.

    Returns:
        :data:`AGREEMENT_COLUMNS`; spread and limits are NaN for a single patient.
    """
    rows = []
    keys = ["dataset", "method", "structure", "measure", "unit"]
    for key, group in patients.groupby(keys, sort=True):
        pred, true = group["pred"].to_numpy(), group["true"].to_numpy()
        difference = pred - true
        bias, sd = difference.mean(), difference.std(ddof=1) if difference.size > 1 else np.nan
        varies = difference.size > 1 and np.ptp(pred) > 0 and np.ptp(true) > 0
        rows.append(
            dict(zip(keys, key, strict=True))
            | {
                "n_patients": difference.size,
                "mean_pred": pred.mean(),
                "mean_true": true.mean(),
                "bias": bias,
                "sd": sd,
                "loa_low": bias - LIMITS * sd,
                "loa_high": bias + LIMITS * sd,
                "mean_abs_error": np.abs(difference).mean(),
                "correlation": np.corrcoef(pred, true)[0, 1] if varies else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=list(AGREEMENT_COLUMNS))


def by_level(per_level: pd.DataFrame) -> pd.DataFrame:
    """Dice of base, middle and apex over patients (seeds and frames averaged first).

    Args:
        per_level: ``dataset, method, fold, seed`` and the columns of ``metrics_by_level.csv``.

    Returns:
        :data:`LEVEL_COLUMNS`, with the mean over structures as ``Avg``.
    """
    cases = per_level.groupby(["dataset", "method", "subject", "case", "structure", "level"], sort=False)[
        "dice"
    ].mean()
    average = cases.groupby(["dataset", "method", "subject", "case", "level"], sort=False).mean()
    table = pd.concat([cases.reset_index(), average.reset_index().assign(structure=AVERAGE)])
    keys = ["dataset", "method", "structure", "level"]
    patients = table.groupby([*keys, "subject"], sort=False)["dice"].mean().groupby(keys, sort=False)
    found = patients.agg(dice_mean="mean", dice_std="std", n_patients="size").reset_index()
    return found[list(LEVEL_COLUMNS)]
