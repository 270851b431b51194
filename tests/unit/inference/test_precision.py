"""What ``precision: auto`` comes to: measured once per processor and torch, never against a set precision."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import torch

from cyclemix.inference import precision
from cyclemix.ops.precision import autocast

CPU = torch.device("cpu")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "cyclemix" / "precision.json"


def measured(monkeypatch: pytest.MonkeyPatch, speedup: float) -> list[float]:
    """Replace the measurement; the list grows with each call."""
    calls: list[float] = []
    monkeypatch.setattr(precision, "measure_speedup", lambda: calls.append(speedup) or speedup)
    return calls


def test_a_set_precision_is_taken_and_nothing_measured(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = measured(monkeypatch, 9.0)
    assert [precision.resolve(CPU, word) for word in ("fp32", "bf16")] == ["fp32", "bf16"]
    assert precision.resolve(torch.device("cuda"), "auto") == "bf16"
    assert not calls
    assert not cache.exists()


@pytest.fixture
def tf32_flags() -> Iterator[Callable[[], tuple[bool, bool]]]:
    """Reads whether CUDA's matrix products and convolutions may round to TF32; restores both."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    yield lambda: (products.allow_tf32, convolutions.allow_tf32)
    products.allow_tf32, convolutions.allow_tf32 = before


def test_tf32_is_fp32_with_rounded_products_on_cuda_alone(
    tf32_flags: Callable[[], tuple[bool, bool]],
) -> None:
    cuda = torch.device("cuda")
    assert precision.resolve(CPU, "tf32") == "fp32"
    assert precision.resolve(cuda, "tf32") == "tf32"
    with autocast(cuda, "tf32"):
        assert not torch.is_autocast_enabled("cuda")
        assert tf32_flags() == (True, True)
    assert tf32_flags() == (True, True)  # the backward pass is outside
    with autocast(CPU, "fp32"):
        assert tf32_flags() == (True, True)  # the CPU leaves them alone
    with autocast(cuda, "fp32"):
        assert tf32_flags() == (False, False)


@pytest.mark.parametrize(("speedup", "expected"), [(1.24, "fp32"), (1.25, "bf16"), (2.0, "bf16")])
def test_auto_takes_bf16_from_1_25_times_on_and_measures_once(
    speedup: float, expected: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = measured(monkeypatch, speedup)
    assert [precision.resolve(CPU, "auto") for _ in range(2)] == [expected] * 2
    assert calls == [speedup]
    assert list(json.loads(cache.read_text()).values()) == [speedup]
    assert torch.__version__ in cache.read_text()


@pytest.mark.parametrize("content", ["", "[1]", '{"another processor": 0.5}', "{"])
def test_what_is_not_known_is_measured_and_other_machines_are_kept(
    content: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.mkdir()
    cache.write_text(content)
    calls = measured(monkeypatch, 1.5)
    assert precision.resolve(CPU, "auto") == "bf16"
    assert calls == [1.5]
    assert ("another processor" in json.loads(cache.read_text())) == ("another" in content)


def test_a_folder_that_cannot_be_written_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cyclemix").write_text("a file in the folder's place")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured(monkeypatch, 1.5)
    assert precision.resolve(CPU, "auto") == "bf16"
    assert "Set training.precision to fp32 or bf16" in caplog.text
    assert str(tmp_path / "cyclemix") in caplog.text


def test_the_speedup_is_the_ratio_of_the_medians() -> None:
    # The clock is read before and after each call: fp32 takes 3 s, bf16 2 s, one call of each is disturbed.
    durations = [1.0, 1.0] + [3.0, 2.0] * (precision.REPEATS - 1) + [50.0, 70.0]
    readings = iter(
        [second for start, length in zip(count(0, 100), durations) for second in (start, start + length)]
    )
    assert precision.measure_speedup(lambda: next(readings)) == pytest.approx(1.5)
