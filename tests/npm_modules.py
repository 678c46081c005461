"""Programs of npm that read what dfmvr writes: installed by `make modules`, without which their tests are skipped."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from page_reader import WEBGL, found_in_browser

MODULES = Path(__file__).parent / "node_modules"


def npm_module(name):
    """The folder of an installed module of tests/package.json."""
    if not (MODULES / name).is_dir():
        pytest.skip(f"{name} is not installed: make modules")
    return MODULES / name


def khronos_report(path):
    """What Khronos's validator tells about a glTF file, with no more than 100 of its messages."""
    folder = npm_module("gltf-validator")
    if not shutil.which("node"):
        pytest.skip("no node is installed, which runs Khronos's gltf-validator")
    script = (
        "require(process.argv[1]).validateBytes(new Uint8Array(require('fs').readFileSync(process.argv[2])), "
        "{ maxIssues: 100 }).then((report) => console.log(JSON.stringify(report)))"
    )
    command = ["node", "-e", script, str(folder), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


AXE = """
const rules = (report) => report.violations.map((v) => [v.impact, v.id, v.nodes.map((node) => node.html)]);
const tell = (report) => { document.body.dataset.found = JSON.stringify(rules(report)); };
setTimeout(() => axe.run(document, { resultTypes: ["violations"] }).then(tell), 1000);
"""


def serious_faults(path, size="900,900"):
    """What axe-core finds seriously or critically wrong with a page: of each its impact, rule and elements."""
    program = (npm_module("axe-core") / "axe.min.js").read_text(encoding="utf-8").replace("</", "<\\/")
    found = found_in_browser(path, program + AXE, *WEBGL, size=size)
    return [fault for fault in found if fault[0] in ("serious", "critical")]
