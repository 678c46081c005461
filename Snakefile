"""DF-MVR: from a face model to Table I, one stage after the other.

`snakemake --cores all` makes results/report.html on the open stand-ins, in the folder where it is called or in
`--directory`; another configuration is given with `--configfile`. Each stage is a file of workflow/rules/, a module of
dfmvr/ and a section of the configuration.
"""

import os

from dfmvr.folders import hold
from snakemake.utils import min_version

min_version("9.25")


configfile: os.path.join(workflow.basedir, "config", "config.yaml")


if workflow.is_main_process:
    hold(".snakemake", leftovers="locks")  # of a run that was killed


container: "docker://python:3.11-slim-bookworm"


include: "workflow/rules/common.smk"


rule all:
    """Make the report of the whole study."""
    default_target: True
    input:
        "<results>/report.html",


include: "workflow/rules/face_model.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/mesh.smk"
include: "workflow/rules/align.smk"
include: "workflow/rules/parse.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/reconstruct.smk"
include: "workflow/rules/register.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/report.smk"
