# Tables and figures of a data set, and their place in the report (see also `run_figures`).
#
# A label of two values, each in half of a category's results, becomes a toggle in the report; other labels become
# columns. Hence one category over all data sets for the box plots by structure.


localrules:
    ranking,


rule tabulate:
    input:
        dataset_file=ancient(get_dataset_file),
        published=BASEDIR / "config" / "published.csv",
        metrics=get_every("metrics.csv"),
        as_predicted=get_every("metrics_as_predicted.csv"),
        levels=get_every("metrics_by_level.csv"),
        provenance=get_every("provenance.json"),
    output:
        html=in_report("tables", "comparison.html", "table", "comparison with published numbers"),
        summary=in_report("tables", "summary.csv", "table", "summary: every structure and metric"),
        significance=in_report("tables", "significance.csv", "table", "significance"),
        clinical=in_report("tables", "clinical.csv", "clinical", "ejection fraction, volumes, mass"),
        levels=in_report("tables", "levels.csv", "levels", "base, middle, apex"),
        efficiency=f"{RESULTS}/tables/{{dataset}}/efficiency.csv",
        overview=f"{RESULTS}/tables/{{dataset}}/overview.rst",
        per_case=f"{RESULTS}/tables/{{dataset}}/per_case.csv",
        per_case_as_predicted=f"{RESULTS}/tables/{{dataset}}/per_case_as_predicted.csv",
        as_predicted_summary=f"{RESULTS}/tables/{{dataset}}/summary_as_predicted.csv",
        per_patient=f"{RESULTS}/tables/{{dataset}}/clinical_per_patient.csv",
        markdown=f"{RESULTS}/tables/{{dataset}}/comparison.md",
        latex=f"{RESULTS}/tables/{{dataset}}/comparison.tex",
    log:
        f"{RESULTS}/logs/tabulate/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate/{{dataset}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        digest=get_truth_digest,
        code=stage_code("tables"),
        study=get_study,
        mixed="--allow-mixed" if PLAN.study.allow_mixed else "",
        tracking=get_tracking,
        results=get_results,
        output_dir=lambda wildcards, output: Path(output.summary).parent,
    shell:
        "python -m cyclemix tabulate --results {params.results:q} --dataset-file {input.dataset_file:q}"
        " --study {params.study:q} --output-dir {params.output_dir:q} {params.mixed}"
        " --tracking {params.tracking:q} 2> {log:q}"


rule figures:
    input:
        dataset_file=ancient(get_dataset_file),
        metrics=get_shown("metrics.csv"),
        levels=get_shown("metrics_by_level.csv"),
        histories=get_shown("history.csv"),
        predictions=get_shown("predictions"),
    output:
        overlays=in_report("figures", "overlays.png", "overlays", "image, scribble, truth and every method"),
        boxplot=in_report("figures", "boxplot.png", "boxplot", "scores of every patient"),
        curves=in_report("figures", "curves.png", "curves", "training curves"),
        levels=in_report("figures", "levels.png", "levels", "base, middle, apex"),
        agreement=in_report("figures", "bland_altman.png", "clinical", "agreement with the true volumes"),
        structures=report(
            directory(f"{RESULTS}/figures/{{dataset}}/structures"),
            patterns=["{structure}.png"],
            caption="../workflow/report/structure.rst",
            category="Scores by structure",
            labels={"structure": "{structure}", "data set": "{dataset}"},
        ),
        overlays_median=f"{RESULTS}/figures/{{dataset}}/overlays_median.png",
        embedded=multiext(f"{RESULTS}/figures/{{dataset}}/", "boxplot.html", "overlays_median.html"),
        vector=multiext(f"{RESULTS}/figures/{{dataset}}/", "boxplot.svg", "curves.svg"),
    log:
        f"{RESULTS}/logs/figures/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/{{dataset}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        digest=get_truth_digest,
        code=stage_code("figures"),
        study=get_shown_study,
        tracking=get_tracking,
        results=get_results,
        output_dir=lambda wildcards, output: Path(output.boxplot).parent,
    shell:
        "python -m cyclemix figures --results {params.results:q} --dataset-file {input.dataset_file:q}"
        " --study {params.study:q} --output-dir {params.output_dir:q}"
        " --tracking {params.tracking:q} 2> {log:q}"


rule efficiency:
    input:
        dataset_file=ancient(get_dataset_file),
        table=f"{RESULTS}/tables/{{dataset}}/efficiency.csv",
    output:
        figure=in_report("figures", "efficiency.png", "efficiency", "Dice by annotation budget"),
        vector=f"{RESULTS}/figures/{{dataset}}/efficiency.svg",
    log:
        f"{RESULTS}/logs/efficiency/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/efficiency/{{dataset}}.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=stage_code("efficiency"),
        study=get_study,
        tracking=get_tracking,
        results=get_results,
        output_dir=lambda wildcards, output: Path(output.figure).parent,
    shell:
        "python -m cyclemix efficiency --results {params.results:q} --dataset-file {input.dataset_file:q}"
        " --study {params.study:q} --output-dir {params.output_dir:q}"
        " --tracking {params.tracking:q} 2> {log:q}"


rule ranking:
    input:
        dataset_files=ancient([PLAN.dataset_file(dataset) for dataset in PLAN.study.datasets]),
        summaries=expand(f"{RESULTS}/tables/{{dataset}}/summary.csv", dataset=PLAN.study.datasets),
        as_predicted=expand(
            f"{RESULTS}/tables/{{dataset}}/summary_as_predicted.csv", dataset=PLAN.study.datasets
        ),
        per_case=expand(f"{RESULTS}/tables/{{dataset}}/per_case.csv", dataset=PLAN.study.datasets),
        published=BASEDIR / "config" / "published.csv",
    output:
        figure=report(
            f"{RESULTS}/figures/ranking.png",
            caption="../workflow/report/ranking.rst",
            category="All data sets",
            labels={"item": "every row by its mean Dice"},
        ),
        vector=f"{RESULTS}/figures/ranking.svg",
    log:
        f"{RESULTS}/logs/ranking.log",
    benchmark:
        f"{RESULTS}/benchmarks/ranking.tsv"
    conda:
        "../envs/cyclemix.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=stage_code("ranking"),
        results=get_results,
        dataset_files=lambda wildcards, input: [f"--dataset-file={path}" for path in input.dataset_files],
        output_dir=lambda wildcards, output: Path(output.figure).parent,
    shell:
        "python -m cyclemix ranking --results {params.results:q} {params.dataset_files:q}"
        " --output-dir {params.output_dir:q} 2> {log:q}"
