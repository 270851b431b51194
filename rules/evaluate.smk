# Predictions in the geometry of the upstream images, their scores against the upstream labels, and a run's figures.


rule predict:
    input:
        model=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/model.pt",
        folds=f"{RESULTS}/data/{{dataset}}/folds.json",
        index=get_evaluated_index,
    output:
        predictions=directory(f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/predictions"),
    log:
        f"{RESULTS}/logs/predict/{{dataset}}_{{label}}_fold{{fold}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{dataset}}_{{label}}_fold{{fold}}_seed{{seed}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: get_network_threads
    resources:
        mem_mb=8000,
        runtime=60,
        gpu=1,
    params:
        code=stage_code("predict"),
        evaluate_on=PLAN.study.protocol.evaluate_on,
        inference=lambda wildcards: compact(PLAN.inference(wildcards.label).model_dump(mode="json")),
        execution=get_execution,
    shell:
        "python -m cyclemix predict --model {input.model:q} --folds {input.folds:q} --index {input.index:q}"
        " --fold {wildcards.fold} --evaluate-on {params.evaluate_on} --inference {params.inference:q}"
        " --execution {params.execution:q} --output {output.predictions:q} 2> {log:q}"


rule evaluate:
    input:
        dataset_file=ancient(get_dataset_file),
        receipt=get_evaluated_receipt,
        folds=f"{RESULTS}/data/{{dataset}}/folds.json",
        predictions=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/predictions",
    output:
        metrics=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/metrics.csv",
        as_predicted=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/metrics_as_predicted.csv",
        levels=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/metrics_by_level.csv",
    log:
        f"{RESULTS}/logs/evaluate/{{dataset}}_{{label}}_fold{{fold}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{dataset}}_{{label}}_fold{{fold}}_seed{{seed}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        digest=get_truth_digest,
        code=stage_code("evaluate"),
        evaluate_on=PLAN.study.protocol.evaluate_on,
        tracking=get_tracking,
        results=get_results,
    shell:
        "python -m cyclemix evaluate --dataset-file {input.dataset_file:q} --receipt {input.receipt:q}"
        " --folds {input.folds:q} --fold {wildcards.fold} --evaluate-on {params.evaluate_on}"
        " --predictions {input.predictions:q} --output {output.metrics:q} --threads {threads}"
        " --tracking {params.tracking:q} --results {params.results:q} 2> {log:q}"


rule run_figures:
    input:
        dataset_file=ancient(get_dataset_file),
        receipt=get_evaluated_receipt,
        predictions=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/predictions",
        history=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/history.csv",
        metrics=f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/metrics.csv",
    output:
        overlay=report(
            f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/overlay.png",
            caption="../workflow/report/run_overlay.rst",
            category="{dataset}",
            subcategory="Method {label}",
            labels={"run": "fold {fold}, seed {seed}", "shown": "segmentations"},
        ),
        curves=report(
            f"{RESULTS}/runs/{{dataset}}/{{label}}/fold{{fold}}_seed{{seed}}/curves.png",
            caption="../workflow/report/run_curves.rst",
            category="{dataset}",
            subcategory="Method {label}",
            labels={"run": "fold {fold}, seed {seed}", "shown": "training curves"},
        ),
    log:
        f"{RESULTS}/logs/run_figures/{{dataset}}_{{label}}_fold{{fold}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/run_figures/{{dataset}}_{{label}}_fold{{fold}}_seed{{seed}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        digest=get_truth_digest,
        code=stage_code("run_figures"),
        tracking=get_tracking,
        results=get_results,
        run_dir=lambda wildcards, output: Path(output.overlay).parent,
    shell:
        "python -m cyclemix run-figures --dataset-file {input.dataset_file:q} --receipt {input.receipt:q}"
        " --run-dir {params.run_dir:q} --tracking {params.tracking:q} --results {params.results:q} 2> {log:q}"
