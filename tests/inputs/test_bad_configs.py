"""Study files with every kind of mistake: one message, the file first, the key, what was expected and
found."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from data_files import write_own

from cyclemix.config.strict import ConfigError, load_yaml, validate
from cyclemix.config.study import Study
from cyclemix.data.datasets import load_dataset

GOOD = "datasets: [phantom]\nmethods: [unet_pce]\n"
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{second}: &{second} [{', '.join([f'*{first}'] * 10)}]\n"
    for first, second in zip("abcdefgh", "bcdefghi", strict=True)
)

# fmt: off
STUDIES: dict[str, tuple[bytes | str, str]] = {
    "unknown key": (GOOD + "trainin: {}\n",
     r"unknown key trainin \(did you mean 'training'\?\); expected one of: datasets, methods, "),
    "unknown key inside a block": (GOOD + "training: {augmentation: {gama: 1}}\n",
     r"unknown key training\.augmentation\.gama \(did you mean 'gamma'\?\); expected one of: flip_turn"),
    "missing key": ("datasets: [phantom]\n", r"missing key methods"),
    "wrong type": (GOOD + "training: {max_steps: many}\n",
     r"training\.max_steps: Input should be a valid integer, .*got 'many'"),
    "name that YAML reads as a number": ("datasets: [001]\nmethods: [unet_pce]\n",
     r"datasets\.0: expected text; put it in quotes, since YAML reads names such as 001, 1_2, .*got 1"),
    "true or yes instead of a number": (GOOD + "training: {max_steps: yes}\n",
     r"training\.max_steps: expected a number, not a boolean, got True"),
    "block instead of a value": (GOOD + "seeds: {a: 1}\n", r"seeds: Input should be a valid list"),
    "value instead of a block": (GOOD + "training: 50\n", r"training: Input should be .*Training, got 50"),
    "out of range": (GOOD + "training: {learning_rate: -1}\n",
     r"training\.learning_rate: Input should be greater than 0, got -1"),
    "infinite or NaN setting": (GOOD + "training: {learning_rate: .inf}\n",
     r"training\.learning_rate: Input should be a finite number, got inf"),
    "choice that does not exist": (GOOD + "training: {device: gpu}\n",
     r"training\.device: Input should be 'auto', 'cpu' or 'cuda', got 'gpu'"),
    "empty list": (GOOD.replace("[phantom]", "[]"), r"datasets: Value should have at least 1 item"),
    "duplicated key": (GOOD + "seeds: [1]\nseeds: [2]\n",
     r"not valid YAML: duplicate key 'seeds'; keep one\n.*line 4"),
    "duplicated key inside a block": (GOOD + "training: {max_steps: 5, max_steps: 6}\n",
     r"not valid YAML: duplicate key 'max_steps'; keep one"),
    "tab characters": (GOOD + "training:\n\tmax_steps: 5\n",
     r"not valid YAML: .*line 4.*indent with spaces, YAML does not allow tabs"),
    "YAML alias bomb": (LAUGHS,
     r"its aliases \(\*\) expand to more than 100000 values; write the values out"),
    "alias inside itself": ("a: &a [*a]\n",
     r"an alias \(\*\) refers to a value that contains it; write it out"),
    "nested too deeply": ("a: " + "[" * 5000, r"not valid YAML: nested too deeply; use fewer levels"),
    "not UTF-8": (GOOD.encode() + b"results: r\xe9sultats\n", r"not UTF-8 text \(.*\); save it as UTF-8"),
    "empty file": ("# nothing here\n", r"the file is empty; expected a mapping \(key: value\)"),
    "list instead of a mapping": ("- datasets\n", r"expected a mapping, got list"),
    "text instead of a mapping": ("datasets", r"expected a mapping, got str"),
    "an invalid date": ("datasets: 2026-99-99\n",
     r"not valid YAML: month must be in .*; put texts in quotes"),
    "Python objects": ("a: !!python/object/apply:os.system [x]\n", r"not valid YAML: could not determine"),
    "unclosed bracket": (GOOD + "seeds: [1\n", r"not valid YAML: .*expected ',' or ']'"),
    "no such file": (b"", r"no such file"),
    "settings file of megabytes": ("a: " + "x" * 2_000_000, r"2000003 characters, expected a settings file"),
}
# fmt: on

# fmt: off
DATASETS: dict[str, tuple[str, str]] = {
    "label table without a class": ("label_values: {0: background, 1: RV}\n",
     r"label_values gives no upstream value for LV"),
    "label table with an unknown class": ("label_values: {0: background, 1: RV, 2: LW}\n",
     r"label_values\.2 must be one of RV, LV, background, unlabelled, got 'LW'"),
    "subject in two official lists": ("official: {train: [a1], val: [a1, a2]}\n",
     r"official: a1 listed twice; a subject belongs to one list"),
    "folder that is not there": ("root: /nowhere\n", r"/nowhere: no such folder \(root of own\); correct it"),
}
# fmt: on

CASES = {**STUDIES, **DATASETS}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_refused_with_file_key_and_remedy(tmp_path: Path, name: str) -> None:
    content, message = STUDIES[name]
    path = tmp_path / "study.yaml"
    if content:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        validate(Study, load_yaml(path), str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert re.search(message, str(caught.value), re.DOTALL), caught.value
    assert len(str(caught.value)) < 2000
    assert time.process_time() - start < 5


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_is_refused_with_file_key_and_remedy(tmp_path: Path, name: str) -> None:
    from cyclemix.data.cases import list_cases

    line, message = DATASETS[name]
    path = write_own(tmp_path)
    key = line.partition(":")[0]
    path.write_text(re.sub(rf"^{key}: .*\n", "", path.read_text(), flags=re.MULTILINE) + line)
    with pytest.raises(ConfigError, match=message):
        list_cases(load_dataset(path), "all", tmp_path)


def test_aliases_of_honest_size_work(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD + "grid: &grid {spacing_mm: 1.5, crop_px: 64}\nextra: *grid\n")
    assert load_yaml(path)["extra"] == {"spacing_mm": 1.5, "crop_px": 64}
