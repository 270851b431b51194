"""Patients are counted, tests are exact, and nothing is claimed that so few patients cannot show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon
from score_rows import score_row

from cyclemix.evaluation import statistics
from cyclemix.evaluation.statistics import (
    bootstrap_interval,
    compare,
    holm,
    patient_means,
    signed_rank,
    smallest_p,
    summarise,
)

MM = {"hd_mm": 10, "hd95_mm": 8, "assd_mm": 2}
"""Distance of a case without overlap; it falls to 0 as Dice rises to 1."""


def distances(dice: float) -> dict[str, float]:
    return {name: most * (1 - dice) for name, most in MM.items()}


def rows(method: str, scores: dict[str, float], seed: int = 0, structure: str = "LV", **extra) -> list[dict]:
    """One row per case; a case is named ``subject_frame``."""
    values = {"volume_pred_ml": 100.0, "volume_true_ml": 100.0, "missed": 0} | extra
    return [
        score_row(case, structure, method, seed, **distances(dice), dice=dice, **values)
        for case, dice in scores.items()
    ]


def scores(values: list[float]) -> dict[str, float]:
    return {f"p{i}_a": value for i, value in enumerate(values)}


def test_seeds_are_averaged_per_case_and_frames_per_patient():
    table = pd.DataFrame(
        rows("m", {"p0_ed": 0.9, "p0_es": 0.7, "p1_ed": 0.5}, seed=0)
        + rows("m", {"p0_ed": 0.7, "p0_es": 0.5, "p1_ed": 0.3}, seed=1)
    )
    # p0: ED (.9+.7)/2 = .8, ES (.7+.5)/2 = .6 -> .7; p1: .4
    means = patient_means(table)["dice"]
    assert means.loc[("m", "LV")].to_dict() == pytest.approx({"p0": 0.7, "p1": 0.4})


def test_summary_counts_patients_not_frames():
    table = pd.DataFrame(
        rows("m", {"p0_ed": 0.9, "p0_es": 0.7, "p1_ed": 0.4})
        + rows("m", {"p0_ed": 0.9, "p0_es": 0.7, "p1_ed": 0.4}, 1)
    )
    row = summarise(table, {"m": "scribble"}, ["LV"]).query("metric == 'dice' and structure == 'LV'").iloc[0]
    assert row["mean"] == pytest.approx((0.8 + 0.4) / 2)
    assert row["std"] == pytest.approx(0.4 / np.sqrt(2))
    assert (row["n_cases"], row["n_runs"], row["n_missed"]) == (3, 2, 0)


def test_average_is_the_mean_over_structures():
    table = pd.DataFrame(rows("m", {"p0_a": 0.9}) + rows("m", {"p0_a": 0.6}, structure="RV", missed=1))
    summary = summarise(table, {"m": "scribble"}, ["LV", "RV"]).set_index(["structure", "metric"])
    assert summary.loc[("Avg", "dice"), "mean"] == pytest.approx(0.75)
    assert summary.loc[("Avg", "hd_mm"), "mean"] == pytest.approx((1 + 4) / 2)
    assert summary["n_missed"].xs("dice", level="metric").to_dict() == {"LV": 0, "RV": 1, "Avg": 1}
    assert list(dict.fromkeys(summary.index.get_level_values(0))) == ["LV", "RV", "Avg"]


def test_summary_has_the_documented_columns_and_orders_methods_as_asked():
    table = pd.DataFrame(rows("b", scores([0.1, 0.2])) + rows("a", scores([0.3, 0.4])))
    summary = summarise(table, {"a": "full", "not_run": "full", "b": "scribble"}, ["LV"])
    assert ",".join(summary.columns) == (
        "dataset,method,supervision,structure,metric,mean,std,ci_low,ci_high,n_cases,n_missed,n_runs"
    )
    assert list(dict.fromkeys(summary["method"])) == ["a", "b"]


def test_one_patient_has_no_spread():
    row = summarise(pd.DataFrame(rows("m", {"p0_a": 0.5})), {"m": "full"}, ["LV"]).iloc[0]
    assert row["mean"] == 0.5
    assert np.isnan(row["std"])
    assert np.isnan(row["ci_low"])


def test_bootstrap_is_deterministic_by_seed_and_brackets_the_mean():
    values = np.array([0.1234, 0.5171, 0.6043, 0.7, 0.9021, 0.9512])
    low, high = bootstrap_interval(values, seed=3)
    assert (low, high) == bootstrap_interval(values, seed=3)
    assert (low, high) != bootstrap_interval(values, seed=4)
    assert values.min() <= low < values.mean() < high <= values.max()
    assert bootstrap_interval(np.full(4, 0.7)) == pytest.approx((0.7, 0.7))


def test_bootstrap_of_two_patients_by_hand():
    # Means of two draws from {0, 1} are 0, .5, 1 with weights 1/4, 1/2, 1/4: both tails lie at the ends.
    assert bootstrap_interval(np.array([0.0, 1.0])) == (0.0, 1.0)


def test_signed_rank_by_hand():
    # Ranks 1, 2, 3; one negative of rank 1: patterns with W- <= 1 are {} and {1}: p = 2 * 2/8.
    p, effect, n = signed_rank(np.array([-0.1, 0.2, 0.3]))
    assert (p, n) == (0.5, 3)
    assert effect == pytest.approx((5 - 1) / 6)


def test_signed_rank_with_ties_by_hand():
    # |d| all equal: ranks 2, 2, 2; W- = 2 for 3 of 8 patterns and 0 for 1: p = 2 * 4/8 = 1.
    p, effect, _ = signed_rank(np.array([0.2, 0.2, -0.2]))
    assert p == 1.0
    assert effect == pytest.approx(1 / 3)


def test_signed_rank_drops_zeros_and_rounding_noise():
    assert signed_rank(np.array([0.0, 1e-16, -1e-17])) == (1.0, 0.0, 0)
    assert signed_rank(np.array([0.1, 0.2, 0.0])) == signed_rank(np.array([0.1, 0.2]))


@pytest.mark.parametrize("n", [4, 9, 25, 60])
def test_signed_rank_equals_scipy_without_ties(n):
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    p, _, _ = signed_rank(differences)
    assert p == pytest.approx(wilcoxon(differences, method="exact").pvalue, rel=1e-9)


def test_smallest_p_is_reached_by_a_uniform_winner():
    for n in (1, 5, 6, 12):
        assert signed_rank(np.arange(1.0, n + 1))[0] == smallest_p(n) == 2.0 ** (1 - n)


def test_holm_by_hand():
    # sorted .01, .02, .03, .04 times 4, 3, 2, 1 = .04, .06, .06, .04 -> monotone .04, .06, .06, .06
    assert holm(np.array([0.03, 0.01, 0.04, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1.0, 1.0])


def test_five_patients_allow_no_claim_however_clear():
    table = pd.DataFrame(rows("cyclemix", scores([0.9] * 5)) + rows("bad", scores([0.1, 0.2, 0.3, 0.4, 0.5])))
    row = compare(table, "cyclemix").query("metric == 'dice'").iloc[0]
    assert row["p_value"] == row["p_holm"] == row["smallest_p"] == 0.0625
    assert row["effect_size"] == -1.0
    assert row["n_patients"] == 5
    assert row["claim"] == "no claim: 5 differing patients cannot give p below 0.0625"


def test_eight_patients_allow_a_claim():
    base = [0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62, 0.64]
    better = [value + 0.01 * (i + 1) for i, value in enumerate(base)]
    table = pd.DataFrame(rows("cyclemix", scores(better)) + rows("base", scores(base)))
    found = compare(table, "cyclemix").set_index("metric")
    assert list(found.index) == list(statistics.METRICS)
    for metric in statistics.METRICS:  # distances fall where Dice rises, so the direction must turn
        assert found.loc[metric, "p_holm"] == pytest.approx(2 / 2**8)
        assert found.loc[metric, "effect_size"] == -1.0
        assert found.loc[metric, "claim"] == "worse"
    assert found.loc["dice", "mean_difference"] == pytest.approx(-0.045)
    assert found.loc["hd_mm", "mean_difference"] == pytest.approx(0.45)
    assert found.loc["dice", "ci_high"] < 0


def test_holm_runs_over_the_methods_of_one_metric_and_can_forbid_a_claim():
    good = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95]
    table = rows("cyclemix", scores(good))
    for k in range(2):
        table += rows(f"m{k}", scores([value - 0.1 - 0.01 * i for i, value in enumerate(good)]))
    found = compare(pd.DataFrame(table), "cyclemix").query("metric == 'dice'")
    assert list(found["n_comparisons"]) == [2, 2]
    assert list(found["p_value"]) == [0.03125, 0.03125]
    assert list(found["p_holm"]) == [0.0625, 0.0625]
    assert set(found["claim"]) == {"no claim: after Holm's correction p cannot fall below 0.0625"}


def test_equal_methods_do_not_differ():
    table = pd.DataFrame(rows("cyclemix", scores([0.5] * 8)) + rows("twin", scores([0.5] * 8)))
    row = compare(table, "cyclemix").iloc[0]
    assert (row["p_value"], row["effect_size"], row["n_nonzero"]) == (1.0, 0.0, 0)
    assert row["claim"].startswith("no claim: 0 differing patients")


def test_mixed_differences_are_not_significant():
    table = pd.DataFrame(
        rows("cyclemix", scores([0.5] * 8))
        + rows("other", scores([0.4, 0.61, 0.38, 0.63, 0.36, 0.65, 0.34, 0.67]))
    )
    assert compare(table, "cyclemix").iloc[0]["claim"] == "no significant difference"


def test_different_patients_are_refused():
    table = pd.DataFrame(rows("cyclemix", {"p0_a": 0.5, "p1_a": 0.5}) + rows("m", {"p0_a": 0.5, "p2_a": 0.5}))
    with pytest.raises(ValueError, match=r"m and cyclemix .* different patients \(p1, p2\)"):
        compare(table, "cyclemix")


def test_no_reference_no_test(caplog):
    found = compare(pd.DataFrame(rows("m", scores([0.5, 0.6]))), "cyclemix")
    assert found.empty
    assert tuple(found.columns) == statistics.SIGNIFICANCE_COLUMNS
    assert "cyclemix has no runs here" in caplog.text
