# From upstream files to prepared cases and folds. Raw files and prepared arrays are not declared outputs, because
# Snakemake deletes those of an unfinished job, and an interrupted download or preparation should continue. Each job
# declares a receipt instead.


localrules:
    split,


rule download:
    input:
        dataset_file=ancient(get_source_file),
    output:
        receipt=f"{RESULTS}/data/{{source}}/raw_{{part}}.json",
    log:
        f"{RESULTS}/logs/download/{{source}}_{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/download/{{source}}_{{part}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 4
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        digest=get_part_digest,
        code=get_download_code,
        mirror=get_mirror,
    shell:
        "python -m cyclemix download --dataset-file {input.dataset_file:q} --part {wildcards.part:q}"
        " {params.mirror} --threads {threads} --output {output.receipt:q} 2> {log:q}"


rule prepare:
    input:
        dataset_file=ancient(get_source_file),
        receipt=f"{RESULTS}/data/{{source}}/raw_{{part}}.json",
    output:
        index=f"{RESULTS}/data/{{source}}/prepared/{{grid}}/index_{{part}}.csv",
    log:
        f"{RESULTS}/logs/prepare/{{source}}_{{grid}}_{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{source}}_{{grid}}_{{part}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        digest=get_part_digest,
        code=stage_code("data.prepare"),
        spacing_mm=lambda wildcards: PLAN.grids[wildcards.grid].spacing_mm,
        crop_px=lambda wildcards: PLAN.grids[wildcards.grid].crop_px,
        preparation=lambda wildcards: PLAN.grids[wildcards.grid].preparation,
    shell:
        "python -m cyclemix prepare --dataset-file {input.dataset_file:q} --part {wildcards.part:q}"
        " --receipt {input.receipt:q} --spacing-mm {params.spacing_mm} --crop-px {params.crop_px}"
        " --preparation {params.preparation} --threads {threads} --output {output.index:q} 2> {log:q}"


rule split:
    input:
        dataset_file=ancient(get_dataset_file),
        index=get_split_index,
    output:
        folds=f"{RESULTS}/data/{{dataset}}/folds.json",
    log:
        f"{RESULTS}/logs/split/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/split/{{dataset}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        digest=lambda wildcards: PLAN.split_digest(wildcards.dataset),
        code=stage_code("data.split"),
        protocol=PLAN.split_json(),
        index=get_split_index_option,
    shell:
        "python -m cyclemix split --dataset-file {input.dataset_file:q} --protocol {params.protocol:q}"
        " {params.index} --output {output.folds:q} 2> {log:q}"
