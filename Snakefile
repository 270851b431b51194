from snakemake.utils import min_version

min_version("9.0")

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# Jobs find the package here, and the interpreter that runs Snakemake unless a conda environment is activated.
# (`current_basedir` is `workflow.basedir`, but where another workflow uses this one as a module.)
BASEDIR = Path(os.path.relpath(str(workflow.current_basedir)))
sys.path.insert(0, str(BASEDIR.resolve()))
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [str(BASEDIR.resolve()), os.environ.get("PYTHONPATH")])),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
)

# Waiting threads soon sleep: beside another busy process, endless spinning made a training on two threads ten times
# slower. A short spin (libgomp, in torch's wheels for Linux) makes it a quarter faster on free cores (benchmarks/NOTES.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

from cyclemix.config.strict import ConfigError, load_yaml
from cyclemix.files import locks
from cyclemix.study.fetching import announce
from cyclemix.study.plan import compact, plan

# The default study file is read only if none is given.
DEFAULT_STUDY = str(BASEDIR / "config" / "config.yaml")
if not workflow.overwrite_configfiles:

    configfile: DEFAULT_STUDY


STUDY_FILES = [str(path) for path in workflow.overwrite_configfiles or [DEFAULT_STUDY]]
try:
    for path in STUDY_FILES:
        if not path.endswith(".json"):
            load_yaml(Path(path))  # Snakemake takes the last of two equal keys
    PLAN = plan(config, BASEDIR, ", ".join(STUDY_FILES))
except ConfigError as error:
    raise WorkflowError(str(error))

RESULTS = PLAN.study.results


report: "workflow/report/overview.rst"


if PLAN.study.container:

    container: PLAN.study.container


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


onstart:
    try:
        locks.hold(Path(RESULTS))
        for line in announce(PLAN):
            logger.info(line)
    except (ValueError, OSError) as error:
        raise WorkflowError(str(error))


rule all:
    default_target: True
    input:
        expand(f"{RESULTS}/tables/{{dataset}}/comparison.html", dataset=PLAN.study.datasets),
        expand(f"{RESULTS}/figures/{{dataset}}/boxplot.png", dataset=PLAN.study.datasets),
        [runs(dataset, "overlay.png") for dataset in PLAN.study.datasets],
        f"{RESULTS}/figures/ranking.png",
        get_swept(),


rule data:
    input:
        get_all_data,


rule predictions:
    input:
        [runs(dataset, "predictions") for dataset in PLAN.study.datasets],


rule models:
    input:
        [runs(dataset, "model.pt") for dataset in PLAN.study.datasets],
