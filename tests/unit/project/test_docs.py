"""The documentation does what it says: links lead somewhere, examples run and give the package's numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import doc_commands
import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from cyclemix.config.strict import validate
from cyclemix.config.study import MethodBlock
from cyclemix.data.spec import DatasetSpec
from cyclemix.evaluation import evaluate
from cyclemix.methods.base import Batch
from cyclemix.provenance import verify


def blocks(page: Path, language: str) -> list[str]:
    """Fenced code blocks of a page."""
    return [block.text for block in doc_commands.blocks(page) if block.language == language]


@pytest.mark.parametrize("page", doc_commands.pages(), ids=lambda page: page.stem)
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", page.read_text())
    missing = [t for t in targets if not t.startswith("http") and not (page.parent / t).exists()]
    assert missing == []


def test_the_recipe_gives_the_numbers_of_metrics_csv(
    repository: Path, phantom_prepared: Path, tmp_path: Path
) -> None:
    data = phantom_prepared / "data" / "tiny"
    entries = json.loads((data / "raw_test.json").read_text())["cases"]
    for entry in entries:
        truth = nibabel.load(data / "raw" / entry["label"])
        moved = np.roll(np.asarray(truth.dataobj).astype(np.uint8), (2, 3, 0), axis=(0, 1, 2))
        for folder in (tmp_path, tmp_path / "as_predicted"):
            folder.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(moved, truth.affine), folder / f"{entry['case']}.nii.gz")
    evaluate.run(
        phantom_prepared / "tiny.yaml", data / "raw_test.json", data / "folds.json", 0, "test", tmp_path,
        tmp_path / "metrics.csv", threads=1,
    )  # fmt: skip
    (code,) = blocks(repository / "docs" / "explanation" / "evaluation.md", "python")
    prediction, truth = tmp_path / f"{entries[0]['case']}.nii.gz", data / "raw" / entries[0]["label"]
    for name, path in (("PREDICTION", prediction), ("TRUTH", truth)):
        code, count = re.subn(rf'^{name} = ".*"$', f"{name} = {str(path)!r}", code, flags=re.MULTILINE)
        assert count == 1
    found: dict[str, Any] = {}
    exec(code, found)
    table = pd.read_csv(tmp_path / "metrics.csv")
    row = table[(table["case"] == entries[0]["case"]) & (table["structure"] == "LV")].iloc[0]
    for name in ("dice", "hd_mm", "hd95_mm", "assd_mm", "volume_pred_ml"):
        assert found[name] == pytest.approx(row[name], rel=1e-6), name


def test_the_example_of_own_data_is_a_data_set(repository: Path) -> None:
    whole, bids = map(yaml.safe_load, blocks(repository / "docs" / "reference" / "data.md", "yaml"))
    for values in (whole, {**whole, **bids}):
        spec = validate(DatasetSpec, {**values, "label": "ours", "folder": "."}, "docs/reference/data.md")
        assert spec.value_table("scribble") == {0: 255, 1: 1, 2: 2, 3: 3, 4: 0}
    assert spec.files.label == "derivatives/manual/{subject}/anat/{case}_dseg.nii.gz"


def test_the_digest_of_the_code_is_that_of_the_records(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (repository / "docs" / "explanation" / "trust.md").read_text()
    (code,) = re.findall(r'python -c "(.*code_digest.*)"', page)
    exec(code, {})
    (tmp_path / "config.json").write_text('{"method": "cyclemix", "training": {"network": "unet"}}')
    assert capsys.readouterr().out.strip() == verify._code_now(tmp_path / "fold0_seed0" / "provenance.json")


def test_the_labelled_frames_of_a_series_become_files(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = blocks(repository / "docs" / "reference" / "data.md", "python")[-1]
    image, label = (
        np.arange(2 * 2 * 1 * 3, dtype=np.int16).reshape(2, 2, 1, 3),
        np.zeros((2, 2, 1, 3), np.uint8),
    )
    label[0, 0, 0, 1] = 2
    (tmp_path / "mms" / "A1").mkdir(parents=True)
    for name, voxels in (("A1_sa", image), ("A1_sa_gt", label)):
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "mms" / "A1" / f"{name}.nii.gz")
    (tmp_path / "frames").mkdir()
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert sorted(path.name for path in Path("frames").iterdir()) == ["A1_01.nii.gz", "A1_01_gt.nii.gz"]
    assert np.array_equal(nibabel.load("frames/A1_01.nii.gz").dataobj, image[..., 1])


def test_the_example_method_trains(repository: Path) -> None:
    (code,) = blocks(repository / "docs" / "how-to" / "add-a-method.md", "python")
    (text,) = blocks(repository / "docs" / "how-to" / "add-a-method.md", "yaml")
    namespace: dict[str, Any] = {"__name__": "entropy"}
    exec(compile(code, "entropy.py", "exec", dont_inherit=True), namespace)
    block = validate(MethodBlock, yaml.safe_load(text)["entropy"], "docs/how-to/add-a-method.md")
    entropy = namespace["Entropy"]
    method = entropy(validate(entropy.Config, block.config, "config"), 4)
    net = torch.nn.Conv2d(1, 4, 1)
    torch.nn.init.zeros_(net.weight)
    torch.nn.init.zeros_(net.bias)
    target = torch.full((2, 8, 8), 255)
    target[:, 0] = 1
    terms = method.losses(net, Batch(torch.zeros(2, 1, 8, 8), target, 0, torch.arange(2)), torch.Generator())
    assert {name: float(term.detach()) for name, term in terms.items()} == {
        "pce": pytest.approx(np.log(4)),
        "entropy": pytest.approx(0.1 * np.log(4)),
    }


def test_the_pages_are_few_and_the_readme_is_short(repository: Path) -> None:
    pages = list((repository / "docs").rglob("*.md"))
    assert {page.parent.name for page in pages} == {"tutorials", "how-to", "reference", "explanation"}
    assert len(pages) <= 14
    assert len((repository / "README.md").read_text().splitlines()) <= 110
