"""What a rule depends on, read off the imports, is what its command runs on."""

import ast
import io
import json
import modulefinder
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from functools import cache

import pytest
from workflow_jobs import ROOT, counts, dry_run, jobs_of

from dfmvr import cli, dependencies
from dfmvr.datasets.layouts import MULTIVIEW, SCANNED
from dfmvr.face_model.command import MAKERS
from dfmvr.networks.kinds import NETWORKS

ENTRANCES = ("dfmvr.__main__", "dfmvr.cli", "dfmvr.config.__main__", "dfmvr.dependencies")
"""What a person or the workflow starts, and what is no command."""

IN_TURN = {
    "face_model": lambda source: [f"dfmvr.face_model.{MAKERS[source]}"],
    "simulate": lambda dataset: [f"dfmvr.simulate.{dataset}"],
    "mesh": lambda dataset: [f"dfmvr.mesh.{name}" for name in SCANNED if dataset.removesuffix("_ict") == name],
    **dict.fromkeys(
        ("align", "reconstruct fitted"), lambda dataset: [f"dfmvr.datasets.{dataset.removesuffix('_ict')}.dataset"]
    ),
    "fetch": lambda _: [f"dfmvr.datasets.{name}.dataset" for name in MULTIVIEW],
    "report": lambda _: [f"dfmvr.datasets.{name}.dataset" for name in MULTIVIEW],
}
"""Modules that a command imports by names that are not written in its code, for the data set or face model
that it is about."""

TRAINED_AS = {"dfmvr_released": "released_code", "deng": "deng", "shang": "shang"}


def of_method(stage, method):
    """Modules that a command imports for the method that it is about."""
    kind = next((kind for name, kind in TRAINED_AS.items() if method.startswith(name)), "df_mvr")
    found = {"train": f"train.methods.{kind}", "reconstruct dataset": NETWORKS[kind].module}.get(stage)
    return [f"dfmvr.{found}"] if found else []


STUDY = {"tests": {"bosphorus": ["mean_face", "dfmvr", "floor"]}}
STAND_INS = {
    "simulate": {"ict_facekit": "given", "real_scan": "given"},
    "study": {
        "tests": {
            "pixel_face": ["mean_face", "dfmvr", "dfmvr_fitted", "dfmvr_released", "deng", "shang_from_left", "floor"],
            "bosphorus": ["dfmvr_multi_pie", "floor"],
        }
    },
    "variants": {"dfmvr_released": {"released": {"lighting": 7.0}}},
}
SOURCES = {"import_face_model": "bfm_2009"}
LICENSED = {
    "face_model": {"source": "bfm_2009", "folder": "given"},
    "datasets": {name: {"root": "given"} for name in (*MULTIVIEW, "celebamask_hq")},
}


DEFAULTS = {"simulate/pixel_face.py", "released/weights.py"}
"""The one reads what it wrote itself; the other, of no rule, tells sections by the shapes of foreign weights."""

RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
PACKAGE = ROOT / "dfmvr"
ORDER = [stage.name for stage in cli.COMMANDS]


def command_of(job):
    """The command that a job of the workflow runs."""
    return command_named(job["shell"].replace("-m dfmvr", "dfmvr").split("dfmvr ", 1)[1].split())


def command_named(words):
    """The command of these words, which its arguments may follow."""
    names = {command.name: command for command in cli.COMMANDS}
    return names.get(" ".join(words[:2])) or names[words[0]]


class Finder(modulefinder.ModuleFinder):
    """Follows imports in compiled code, another way than that under test; those for type checkers compile to none."""

    def load_module(self, fqname, fp, pathname, file_info):
        if fp is not None:
            fp = io.BytesIO(fp.read().replace(b"if TYPE_CHECKING:", b"if False:"))
        return super().load_module(fqname, fp, pathname, file_info)


@cache
def found_by_compiled_code(*roots):
    finder = Finder(path=[str(ROOT)], excludes=["dfmvr.config"])
    for root in roots:
        finder.import_hook(root)
    return {os.path.relpath(module.__file__, ROOT) for module in finder.modules.values() if module.__file__}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """At least one job of every rule."""
    folder = tmp_path_factory.mktemp("workflow")
    (folder / "given").touch()
    found = [job for jobs in jobs_of(folder, STAND_INS, LICENSED) for job in jobs if job["rule"] != "all"]
    rules = set(re.findall(r"^ *rule (\w+):", "".join(file.read_text() for file in RULES), re.MULTILINE))
    assert {job["rule"] for job in found} == rules
    return found


def test_a_change_of_a_module_reruns_the_rules_that_reach_it(jobs):
    for job in jobs:
        stage = command_of(job)
        about = job["wildcards"].get("dataset") or SOURCES.get(job["rule"], "anny")
        roots = [stage.module, *IN_TURN.get(stage.name, lambda _: [])(about)]
        roots += of_method(stage.name, job["wildcards"].get("method", ""))
        modules = {file for file in job["code"] if file.endswith(".py")}
        assert modules == found_by_compiled_code(*roots), job["rule"]


def follow(jobs, first):
    """The rules of the jobs of which `first` is true, and of all that need what those make."""
    made, rules = set(), set()
    for job in sorted(jobs, key=lambda job: ORDER.index(command_of(job).name)):
        if first(job) or made & set(job["input"]):
            made |= set(job["output"])
            rules.add(job["rule"])
    return rules


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder where a study seems to have been done some time ago, its jobs, and the time."""
    folder = tmp_path_factory.mktemp("done")
    shutil.copytree(PACKAGE, folder / "dfmvr", ignore=shutil.ignore_patterns("__pycache__"))
    (jobs,) = jobs_of(folder, {"study": STUDY})
    jobs = [job for job in jobs if job["rule"] != "all"]
    outputs = [folder / output for job in jobs for output in job["output"]]
    for output in outputs:
        (output if not output.suffix else output.parent).mkdir(parents=True, exist_ok=True)
    now = time.time()
    for output in outputs:
        output.touch()
        os.utime(output, (now, now))
    return folder, jobs, now


@pytest.mark.parametrize("changed", ["geometry/camera.py", "report/captions.yaml", "config/data.py"])
def test_the_workflow_does_again_what_a_changed_file_calls_for(done, changed):
    folder, jobs, now = done
    file = folder / "dfmvr" / changed
    os.utime(file, (now + 10, now + 10))
    found = counts(dry_run(folder, "--config", f"study={json.dumps(STUDY)}"))
    os.utime(file, (now - 10, now - 10))
    assert set(found) - {"all", "total"} == follow(jobs, lambda job: f"dfmvr/{changed}" in job["code"])


def test_every_file_of_the_package_is_used():
    roots = [*ENTRANCES, *(stage.module for stage in cli.COMMANDS)]
    about = {"face_model": MAKERS, "simulate": [*MULTIVIEW, "celebamask_hq", "pixel_face_ict", "real_scan"]}
    roots += [root for name, modules in IN_TURN.items() for one in about.get(name, MULTIVIEW) for root in modules(one)]
    roots += [module for name in ("dfmvr", *TRAINED_AS) for stage in ORDER for module in of_method(stage, name)]
    used = set(dependencies.files_reached(*roots)) | set((PACKAGE / "config").glob("*.py"))
    files = {file for file in PACKAGE.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    assert files - used == {PACKAGE / "assets" / "README.md"}


def test_imports_by_a_name_in_a_text_are_those_that_the_rules_add():
    dynamic = re.compile(r"import_module\(|(?<![\w.])(__import__|exec|eval)\(|runpy|pkgutil")
    found = {str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py") if dynamic.search(file.read_text())}
    commands = {f"{stage}/command.py" for stage in ("face_model", "mesh", "simulate", "train")}
    assert found == commands | {
        "__init__.py",
        "cli.py",
        "datasets/layouts.py",
        "mesh/dataset.py",
        "networks/checkpoint.py",
    }


def test_the_configuration_reaches_the_code_by_value_alone():
    """Else a rule would depend on it, and a new key would make every result again."""
    readers = {"Config", "configuration", "load", "overridden", "validate"}
    constants, made = set(), set()
    for file in PACKAGE.rglob("*.py"):
        name = str(file.relative_to(PACKAGE))
        if name.startswith(("config/", "cli.py")):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("dfmvr.config"):
                taken = {alias.name for alias in node.names} - readers
                constants |= {other for other in taken if not other.endswith(("Section", "Data"))}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                made |= {name} if re.fullmatch(r"\w+Section|\w+Data|Config", node.func.id) and not node.args else set()
    assert constants == set()
    assert made == DEFAULTS


def test_a_command_runs_on_nothing_that_the_walk_does_not_find(tmp_path):
    """Continuous integration does the same with all commands of a small study."""
    config, records = tmp_path / "c.yaml", tmp_path / "records"
    records.mkdir()
    config.write_text(json.dumps({"datasets": {"bosphorus": {"root": str(tmp_path)}}}))
    (jobs,) = jobs_of(tmp_path, json.loads(config.read_text()))
    (shell,) = (job["shell"] for job in jobs if job["rule"] == "check_data")
    places = {"RECORD": str(records), "PYTHONPATH": os.pathsep.join((str(ROOT / ".ci" / "recorder"), str(ROOT)))}
    command = [sys.executable, "-m", "dfmvr", *shlex.split(shell.partition("dfmvr ")[2].partition(" &>")[0])]
    subprocess.run(command, cwd=tmp_path, env=os.environ | places, capture_output=True, check=False)
    check = [sys.executable, str(ROOT / ".ci" / "check_record.py"), str(records), str(config)]
    assert subprocess.run(check, capture_output=True, text=True, check=False).stderr == ""
    (record,) = records.iterdir()
    told = json.loads(record.read_text())
    record.write_text(json.dumps(told | {"files": [*told["files"], str(PACKAGE / "losses.py")]}))
    assert "losses.py" in subprocess.run(check, capture_output=True, text=True, check=False).stderr
