"""`check_record.py FOLDER CONFIG`: what the commands of a study ran on is what their rules depend on."""

import json
import shlex
import sys
import tempfile
from itertools import takewhile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from workflow_jobs import jobs_of  # noqa: E402

from dfmvr.dependencies import NOT_FOLLOWED, PACKAGE, files_reached, imported_by  # noqa: E402

SECTIONS = list((PACKAGE.parent / NOT_FOLLOWED.replace(".", "/")).glob("*.py"))
BY_VALUE = {*SECTIONS, *files_reached("dfmvr.__main__", "dfmvr.cli")}
"""The command line and the configuration, with what that is made from, hand over values alone."""

for section in SECTIONS:
    BY_VALUE.update(files_reached(*imported_by(f"{NOT_FOLLOWED}.{section.stem}".removesuffix(".__init__"))))


def arguments_of(job: dict) -> list[str]:
    """What a job's command is given, up to what the shell finds out."""
    words = shlex.split(job["shell"])
    return list(takewhile(lambda word: not word.startswith(("$(", "&>")), words[words.index("dfmvr") + 1 :]))


def main(folder: str, config: str) -> str:
    """Say what a command ran on although its rule does not depend on it; nothing if all is well."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).iterdir()]
    with tempfile.TemporaryDirectory() as empty:
        (jobs,) = jobs_of(Path(empty), yaml.safe_load(Path(config).read_text(encoding="utf-8")))
    wrong = {} if records else {"": "no command was recorded"}
    for job in (job for job in jobs if job["shell"]):
        given, code = arguments_of(job), {*map(str, BY_VALUE), *(str(ROOT / file) for file in job["code"])}
        for record in (record for record in records if record["arguments"][: len(given)] == given):
            if found := [file for file in record["files"] if file not in code and not file.endswith(".pyc")]:
                wrong[" ".join([job["rule"], *job["wildcards"].values()])] = found
    return f"not known to the rules: {json.dumps(wrong, indent=2)}\n" if wrong else ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
