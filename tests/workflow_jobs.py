"""What the workflow would do.

`python workflow_jobs.py FOLDER < CONFIGURATIONS` prints jobs as JSON: a program of its own, since Snakemake works in
one folder and keeps what it was told.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def link_workflow(folder):
    """Let a folder hold the real workflow, and nothing that it has made."""
    for name in ("workflow", "dfmvr", "config", "profiles", "Snakefile"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)


def dry_run(folder, *arguments):
    """Ask the workflow in a folder what it would do."""
    link_workflow(folder)
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def counts(result):
    """Rule to number of jobs, from the table that a dry run prints."""
    text = result.stdout + result.stderr
    assert result.returncode == 0, text
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}


def jobs_of(folder, *configurations):
    """The jobs of each configuration: rule, wildcards, named code, inputs, outputs, command and resources."""
    link_workflow(folder)
    command = [sys.executable, __file__, str(folder)]
    told = json.dumps(configurations)
    done = subprocess.run(command, cwd=folder, input=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _jobs(folder, configuration):
    """All jobs of one configuration."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        told = api.workflow(
            ResourceSettings(cores=1),
            config_settings=ConfigSettings(config=configuration),
            snakefile=folder / "Snakefile",
            workdir=folder,
        )
        told.dag()
        # The public interface prints a graph of rules, but no inputs and no commands.
        workflow = told._workflow
        workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
        workflow._build_dag()
        return [
            {
                "rule": job.rule.name,
                "wildcards": dict(job.wildcards.items()),
                "code": [str(file) for file in getattr(job.input, "code", ())],
                "input": [str(file) for file in job.input],
                "output": [str(file) for file in job.output],
                "shell": job.shellcmd or "",
                "resources": {name: job.resources.get(name, 0) for name in ("gpu", "mem_mb", "runtime")},
            }
            for job in workflow.dag.jobs
        ]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    sys.path.insert(0, str(place))
    result = [_jobs(place, configuration) for configuration in json.load(sys.stdin)]
    sys.stdout.write(json.dumps(result))
