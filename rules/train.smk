# One training per data set x row x fold x seed. `checkpoint.pt` is not a declared output, so that it survives a
# killed job and the next one resumes from it.


localrules:
    track_init,
    resolve,


# Trainings only need an existing store, so its sentinel is ancient() to them. Only a missing sentinel may run this
# job: if a job with an ancient() output reruns, Snakemake 9 does not check the jobs that depend on it and skips those
# that have never run. So no parameter here is a rerun trigger, and the sentinel is not in the store's folder, which a
# user may delete.
rule track_init:
    output:
        sentinel=f"{RESULTS}/runs/track_init.json",
    log:
        f"{RESULTS}/logs/track_init.log",
    benchmark:
        f"{RESULTS}/benchmarks/track_init.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        datasets=get_datasets,
        tracking=get_tracking,
        results=get_results,
    shell:
        "python -m cyclemix track-init --results {params.results:q} --tracking {params.tracking:q}"
        " --datasets {params.datasets:q} --output {output.sentinel:q} 2> {log:q}"


rule resolve:
    input:
        dataset_file=ancient(get_dataset_file),
    output:
        config=f"{RESULTS}/runs/{{dataset}}/{{label}}/config.json",
    log:
        f"{RESULTS}/logs/resolve/{{dataset}}_{{label}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/resolve/{{dataset}}_{{label}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        block=lambda wildcards: PLAN.row_json(wildcards.label),
        training=lambda wildcards: compact(PLAN.training(wildcards.label).recipe().model_dump(mode="json")),
        grid=lambda wildcards: compact(PLAN.grid(wildcards.dataset, wildcards.label).model_dump(mode="json")),
        classes=lambda wildcards: PLAN.datasets[wildcards.dataset].classes,
        at_most_steps=get_at_most_steps,
        code=lambda wildcards: method_code(wildcards.label),
    shell:
        "python -m cyclemix resolve --dataset-file {input.dataset_file:q} --label {wildcards.label:q}"
        " --block {params.block:q} --training {params.training:q} --grid {params.grid:q}"
        " {params.at_most_steps} --output {output.config:q} 2> {log:q}"


rule train:
    input:
        config=f"{RESULTS}/runs/{{dataset}}/{{label}}/config.json",
        folds=f"{RESULTS}/data/{{dataset}}/folds.json",
        index=get_train_index,
        store=ancient(f"{RESULTS}/runs/track_init.json"),
    output:
        model=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/model.pt",
        history=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/history.csv",
        provenance=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/provenance.json",
    log:
        f"{RESULTS}/logs/train/{{dataset}}_{{label}}_fold{{fold}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{dataset}}_{{label}}_fold{{fold}}_seed{{seed}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: get_network_threads
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=1,
    params:
        code=lambda wildcards: train_code(wildcards.label),
        execution=get_execution,
        tracking=get_tracking,
        results=get_results,
        output_dir=lambda wildcards, output: Path(output.model).parent,
    shell:
        "python -m cyclemix train --config {input.config:q} --folds {input.folds:q} --index {input.index:q}"
        " --fold {wildcards.fold} --seed {wildcards.seed} --output-dir {params.output_dir:q}"
        " --execution {params.execution:q} --tracking {params.tracking:q} --results {params.results:q} 2> {log:q}"
