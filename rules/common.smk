# Wildcard constraints and the functions that rules take their inputs and parameters from; no rules.
#
# Snakemake treats a parameter whose function has an argument `resources` as derived. It is used for how or where a
# job runs, so that another mirror, device or tracking server reruns nothing.

import re
import shlex
from functools import cache

from cyclemix.config.models import modules_of
from cyclemix.provenance.digests import STAGES, code_digest

MOST_THREADS = 4


def any_of(names):
    return "|".join(map(re.escape, names))


wildcard_constraints:
    source=any_of(PLAN.datasets),
    dataset=any_of(PLAN.study.datasets),
    part="train|val|masks|test|all",
    grid=any_of(PLAN.grids),
    label=any_of(PLAN.blocks),
    fold=r"\d+",
    seed=r"\d+",


# Digests: which code a stage's results depend on.


@cache
def stage_code(stage):
    return code_digest(STAGES[stage])


@cache
def train_code(label):
    """The training loop with all that it imports, and the row's method."""
    return code_digest(
        "cyclemix.training.train", modules_of(PLAN.blocks[label].method, PLAN.training(label).network)
    )


@cache
def method_code(label):
    """The method's file: `resolve` writes the defaults of its Config to config.json, so a changed default must
    rerun it. This reruns no more than `train_code` does, which covers the same files. Of its own code `resolve`
    needs no digest."""
    return code_digest(f"cyclemix.methods.{PLAN.blocks[label].method}")


def get_download_code(wildcards):
    """Downloaded files are identified by their checksums; only generated ones depend on code."""
    return stage_code("data.download") if PLAN.datasets[wildcards.source].kind == "phantom" else None


# Data


def get_source_file(wildcards):
    return PLAN.dataset_file(wildcards.source)


def get_dataset_file(wildcards):
    return PLAN.dataset_file(wildcards.dataset)


def get_part_digest(wildcards):
    return PLAN.part_digest(wildcards.source, wildcards.part)


def get_mirror(wildcards, resources):
    return "" if PLAN.study.mirror is None else f"--mirror {shlex.quote(PLAN.study.mirror)}"


def receipts(dataset, parts):
    return [f"{RESULTS}/data/{PLAN.datasets[dataset].data_label}/raw_{part}.json" for part in parts]


def indexes(dataset, label, parts):
    folder = f"{RESULTS}/data/{PLAN.datasets[dataset].data_label}/prepared/{PLAN.grid(dataset, label).name}"
    return [f"{folder}/index_{part}.csv" for part in parts]


def get_split_index(wildcards):
    """K-fold draws its folds from the prepared cases; official lists are part of the data set's file."""
    if PLAN.study.protocol.kind == "official":
        return []
    return indexes(wildcards.dataset, PLAN.labels(wildcards.dataset)[0], ["all"])


def get_split_index_option(wildcards, input):
    return f"--index {shlex.quote(str(input.index))}" if input.index else ""


# Training


def get_train_index(wildcards):
    """Only of the training's own parts, so that test cases are not needed and retrain nothing."""
    return indexes(wildcards.dataset, wildcards.label, PLAN.train_parts(wildcards.dataset, wildcards.label))


def get_at_most_steps(wildcards):
    """Only for longer rows, so that another limit changes no parameter of all other rows."""
    limit = PLAN.shortened(wildcards.label)
    return "" if limit is None else f"--at-most-steps {limit['to']}"


def get_execution(wildcards, resources):
    fields = {"device", "checkpoint_seconds", "jobs_per_gpu"}
    return compact(PLAN.training(wildcards.label).model_dump(mode="json", include=fields))


def get_tracking(wildcards, resources):
    return compact(PLAN.study.tracking.model_dump(mode="json"))


def get_datasets(wildcards, resources):
    return PLAN.study.datasets


def get_results(wildcards, resources):
    return RESULTS


def get_network_threads(wildcards):
    """Threads per training: parallel trainings of small networks are faster than one on all cores."""
    cores = workflow.resource_settings.cores
    if (
        cores is None or workflow.non_local_exec or workflow.remote_exec
    ):  # on a cluster no job takes another's
        return MOST_THREADS
    trainings = sum(len(runs(dataset, "model.pt")) for dataset in PLAN.study.datasets)
    return max(1, min(MOST_THREADS, cores // trainings))


# Evaluation


def get_evaluated_index(wildcards):
    return indexes(wildcards.dataset, wildcards.label, [PLAN.evaluated_part(wildcards.dataset)])


def get_evaluated_receipt(wildcards):
    return receipts(wildcards.dataset, [PLAN.evaluated_part(wildcards.dataset)])


def get_truth_digest(wildcards):
    """Parts of the data set's file that determine the scored labels and their order."""
    spec = PLAN.datasets[wildcards.dataset]
    part = PLAN.evaluated_part(wildcards.dataset)
    return [PLAN.part_digest(spec.data_label, part), spec.classes, spec.structures]


# Tables and figures


def runs(dataset, name, labels=None):
    """One file of every run on a data set; none for n/a rows."""
    return [
        f"{RESULTS}/runs/{dataset}/{label}/fold{fold}_seed{seed}/{name}"
        for label in PLAN.labels(dataset)
        if labels is None or label in labels
        for fold in PLAN.study.protocol.selected_folds
        for seed in PLAN.seeds(label)
    ]


def get_every(name):
    """One file of every run."""
    return lambda wildcards: runs(wildcards.dataset, name)


def get_shown(name):
    """One file of every run in the figures; rows of an annotation sweep have their own figure."""
    return lambda wildcards: runs(wildcards.dataset, name, PLAN.shown(wildcards.dataset))


def get_shown_study(wildcards):
    rows = [label for label in PLAN.blocks if label not in PLAN.points or PLAN.points[label].whole]
    return PLAN.table_json(wildcards.dataset, {*rows, *PLAN.shown(wildcards.dataset)})


def get_swept():
    """The figures of annotation sweeps."""
    swept = [dataset for dataset in PLAN.study.datasets if PLAN.swept(dataset)]
    return expand(f"{RESULTS}/figures/{{dataset}}/efficiency.png", dataset=swept)


def get_study(wildcards):
    return PLAN.table_json(wildcards.dataset)


def get_all_data(wildcards):
    """Prepared cases and folds of everything that the study trains and evaluates on."""
    for dataset in PLAN.study.datasets:
        yield f"{RESULTS}/data/{dataset}/folds.json"
        for label in PLAN.labels(dataset):
            parts = {*PLAN.train_parts(dataset, label), PLAN.evaluated_part(dataset)}
            yield from indexes(dataset, label, sorted(parts))


def in_report(kind, name, caption, item):
    """A table or figure of a data set, and its place in the report."""
    return report(
        f"{RESULTS}/{kind}/{{dataset}}/{name}",
        caption=f"../workflow/report/{caption}.rst",
        category="{dataset}",
        subcategory=f"All methods: {kind}",
        labels={"item": item},
    )
