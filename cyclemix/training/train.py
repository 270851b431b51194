"""The training loop of all methods: data on the device, checkpoints, model selection on validation Dice."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from cyclemix.config.models import RunConfig, Training, load_run_config, modules_of
from cyclemix.config.strict import ConfigError
from cyclemix.data.receipts import check_known, pick_fold
from cyclemix.data.store import read_index
from cyclemix.data.subject_order import first_subjects
from cyclemix.files import locks
from cyclemix.files.atomic import write_text
from cyclemix.inference.device import acquire
from cyclemix.inference.domain import describe
from cyclemix.inference.model_file import Model, save_model
from cyclemix.provenance import digests, records
from cyclemix.training import checkpoint
from cyclemix.training.engine import Engine, State
from cyclemix.training.slices import Volume, load_slices, load_volumes

log = logging.getLogger(__name__)

CHECK_EVERY = 25
"""Steps between checks of the loss terms, each of which synchronises with the device."""


class Reporter(Protocol):
    """Receives metrics and final status of a training (the MLflow mirror); must never raise."""

    def metrics(self, values: dict[str, float], step: int) -> None: ...
    def close(self, status: str) -> None: ...


class Interrupted(SystemExit):
    """SIGTERM was received and a checkpoint written; the same command resumes."""


def run(
    config: Path,
    folds: Path,
    index: Sequence[Path],
    fold: int,
    seed: int,
    output_dir: Path,
    execution: Training,
    reporter: Reporter,
) -> None:
    """Train one method on one fold with one seed.

    Args:
        index: ``index_{part}.csv`` of the parts with this fold's training and validation subjects.
        output_dir: receives ``model.pt``, ``history.csv``, ``provenance.json`` and ``checkpoint.pt``.
        execution: device, checkpoint interval, jobs per GPU; its recipe is not used.

    Raises:
        ConfigError: the fold does not exist, or its cases lack labels that the method needs.
        ValueError: the index or a case was changed after `prepare`.
        FloatingPointError: a value became NaN or infinite; names step, term and cases.
    """
    settings = load_run_config(config)
    train_cases, val_cases, mask_cases = _cases(settings, folds, index, fold, seed)
    output_dir.mkdir(parents=True, exist_ok=True)
    cases = [train_cases, val_cases] + ([] if mask_cases is None else [mask_cases])
    paths = [path for rows in cases for path in rows["path"]]
    records.check(map(records.prepared, index), [*index, *paths])
    origin = digests.collect(config, paths, modules_of(settings.method, settings.training.network))
    origin |= {"dataset": settings.dataset, "label": settings.label, "fold": fold, "seed": seed}
    # A checkpoint resumes only a training with the same settings, data and code.
    same = [origin[key] for key in ("config_digest", "data_digest", "code_digest")]
    digest = digests.value_digest([*same, fold, seed])
    status = "FAILED"
    try:
        with (
            locks.exclusive(output_dir),
            acquire(execution.device, execution.jobs_per_gpu) as device,
        ):
            slices = load_slices(train_cases, settings, device, mask_cases, seed)
            log.info(
                "training data: %s", ", ".join(f"{number} {what}" for what, number in slices.amounts.items())
            )
            origin["training_data"] = dict(slices.amounts)
            volumes = load_volumes(val_cases, device)
            engine = Engine(settings, seed, slices)
            state = _resume(engine, output_dir, digest, device)
            _loop(engine, state, volumes, output_dir, execution, reporter)
            _finish(engine, state, train_cases["path"], output_dir, origin)
            _record(output_dir, origin, [config, folds, *index, *paths])
        status = "FINISHED"
    except Interrupted:
        status = "KILLED"
        raise
    finally:
        reporter.close(status)


def _cases(
    settings: RunConfig, folds: Path, index: Sequence[Path], fold: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    """Rows of the prepared index: training, validation, and unpaired masks (None unless used).

    Scribble-supervised rows include training cases with dense labels only.
    """
    lists = pick_fold(folds, fold)
    cases = read_index(index)
    check_known([*lists["train"], *lists["val"]], set(cases["subject"]), folds, "the prepared index")
    wanted = ("full", "both") if settings.supervision == "full" else ("scribble", "both", "full")
    train = cases[cases["subject"].isin(lists["train"])]
    val = cases[cases["subject"].isin(lists["val"])]
    for rows, name, kinds in ((train, "training", wanted), (val, "validation", ("full", "both"))):
        usable = rows[rows["supervision"].isin(kinds)]
        if usable.empty:
            found = ", ".join(sorted(set(rows["supervision"]))) or "no case at all"
            raise ConfigError(
                f"{folds}: fold {fold} has no {name} case with {kinds[0]} labels for {settings.label} "
                f"on {settings.dataset} (found: {found})"
            )
    train = train[train["supervision"].isin(wanted)]
    if (count := settings.training.subjects) is not None:
        where = f"{folds}: fold {fold} of {settings.dataset}"
        train = train[train["subject"].isin(first_subjects(train, count, seed, where))]
    _check_classes(settings, train, folds, fold)
    masks = _masks(cases, lists, train, folds) if settings.supervision == "scribble+masks" else None
    return train, val[val["supervision"].isin(("full", "both"))], masks


def _check_classes(settings: RunConfig, train: pd.DataFrame, folds: Path, fold: int) -> None:
    """Raise ConfigError for a class that no training case labels; names the fold and the structures."""
    # The index counts slices of the scribble, or of the dense label of a case without scribble.
    kind = "dense label" if settings.supervision == "full" else "scribble"
    columns = {name: f"slices_with_{name}" for name in settings.classes}
    absent = [name for name, column in columns.items() if column in train and not (train[column] > 0).any()]
    if absent:
        raise ConfigError(
            f"{folds}: fold {fold}: no {kind} of the {len(train)} training cases marks {', '.join(absent)}, "
            f"so {settings.label} cannot learn it; add strokes, use another fold, or remove it from `classes`"
        )


def _masks(cases: pd.DataFrame, fold: dict[str, list[str]], train: pd.DataFrame, folds: Path) -> pd.DataFrame:
    """Cases with unpaired masks: those of ``masks`` subjects, except patients of the training cases."""
    check_known(fold["masks"], set(cases["subject"]), folds, "the prepared index")
    rows = cases[cases["subject"].isin(fold["masks"]) & cases["supervision"].isin(("full", "both"))]
    rows = rows[~rows["person"].isin(train["person"])]
    if rows.empty:
        raise ConfigError(
            f"{folds}: no prepared subject provides a mask; expected subjects under `masks` that are not "
            "training subjects"
        )
    return rows


def _resume(engine: Engine, folder: Path, digest: str, device: torch.device) -> State:
    saved = checkpoint.load(folder, digest, device)
    if saved is None:
        return State(digest=digest)
    state = engine.load_state_dict(saved)
    log.info("resuming at step %d of %d", state.step, engine.recipe.max_steps)
    return state


def _loop(
    engine: Engine,
    state: State,
    volumes: list[Volume],
    folder: Path,
    execution: Training,
    reporter: Reporter,
) -> None:
    """Train until ``max_steps``, with validations, checks and checkpoints."""
    recipe = engine.recipe
    started, saved_at = time.monotonic() - state.seconds, time.monotonic()
    started_cpu = time.process_time() - state.cpu_seconds
    bar = tqdm(total=recipe.max_steps, initial=state.step, unit="step", disable=None)
    with _sigterms() as received, logging_redirect_tqdm(), bar:
        while state.step < recipe.max_steps:
            engine.step(state)
            bar.update()
            last = state.step == recipe.max_steps
            validate = last or state.step % recipe.validate_every_steps == 0
            due = last or received or time.monotonic() - saved_at > execution.checkpoint_seconds
            if validate or due or state.step % CHECK_EVERY == 0:
                engine.check(state)
            state.seconds = time.monotonic() - started
            state.cpu_seconds = time.process_time() - started_cpu
            if validate:
                _validate(engine, state, volumes, reporter)
                bar.set_postfix(best=f"{state.best_dice:.3f}")
            if due:
                checkpoint.save(folder, engine.state_dict(state))
                saved_at = time.monotonic()
            if received and not last:
                log.warning("SIGTERM: checkpoint at step %d; the same command resumes from it", state.step)
                raise Interrupted(128 + signal.SIGTERM)


def _validate(engine: Engine, state: State, volumes: list[Volume], reporter: Reporter) -> None:
    row = engine.validate(state, volumes)
    reporter.metrics({key: value for key, value in row.items() if key not in ("step", "images")}, state.step)
    log.info(
        "step %d of %d: validation Dice %.3f after %.0f s",
        state.step,
        engine.recipe.max_steps,
        row["val_dice_avg"],
        state.seconds,
    )


@contextmanager
def _sigterms() -> Iterator[list[int]]:
    """The SIGTERMs received, upon which the loop ends after its step."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def _finish(engine: Engine, state: State, cases: Iterable[str], folder: Path, origin: dict[str, Any]) -> None:
    """Write history and model; complete ``origin``."""
    write_text(folder / "history.csv", pd.DataFrame(state.history).to_csv(index=False, float_format="%.6g"))
    origin |= {
        "device": engine.device_name,
        "precision": engine.precision,
        "parameters": sum(p.numel() for p in engine.net.parameters()),
        "steps": state.step,
        "best_step": state.best_step,
        "best_val_dice": state.best_dice,
        "training_seconds": round(state.seconds, 1),
        "cpu_seconds": round(state.cpu_seconds, 1),
        "resumed_at_steps": state.resumed_at_steps,
        "threads": state.threads,
    }
    if state.best_model is None:
        raise RuntimeError("no validation took place, so there is no best model")
    engine.net.load_state_dict(state.best_model)
    model = Model(engine.net, engine.settings, describe(cases), origin)
    save_model(folder / "model.pt", model, state.best_step, state.best_dice)


def _record(folder: Path, origin: dict[str, Any], inputs: Sequence[str | Path]) -> None:
    """Write ``provenance.json``, after the other files, which it covers."""
    outputs = [folder / "model.pt", folder / "history.csv"]
    records.write(folder / records.NAME, {"stage": "train", **origin}, inputs, outputs)
