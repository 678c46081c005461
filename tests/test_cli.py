"""The command line: stages in order, errors on one line."""

import re
import subprocess
import sys

import pytest

from dfmvr import cli


def test_help_lists_the_stages_in_order(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    text = capsys.readouterr().out
    places = [text.index(f"\n  {stage.name} ") for stage in cli.COMMANDS]
    assert stop.value.code == 0
    assert places == sorted(places)


@pytest.mark.parametrize("stage", [stage.name for stage in cli.COMMANDS])
def test_every_stage_explains_itself(stage, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*stage.split(), "--help"])
    assert stop.value.code == 0
    assert f"dfmvr {stage}" in capsys.readouterr().out


def test_a_wrong_key_is_one_line_and_exit_code_2(capsys, tmp_path):
    code = cli.main(
        ["align", "--data", "x", "--face-model", "y", "--output", str(tmp_path), "--set", "align.imagesize=3"]
    )
    error = capsys.readouterr().err
    assert code == 2
    assert re.fullmatch(r"dfmvr align: error: .*did you mean 'image_size'\?\n", error)


def test_help_is_quick_since_it_imports_no_stage():
    code = """
import sys
from dfmvr import cli
try:
    cli.main(["--version"])
except SystemExit:
    print("torch" in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "False"


def test_who_has_read_enough_gets_no_traceback():
    """As in `dfmvr train describe | head`."""
    command = [sys.executable, "-m", "dfmvr", "train", "describe"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141


@pytest.mark.parametrize("link", [False, True])
def test_no_input_is_replaced_by_its_output(tmp_path, capsys, link):
    files = {name: tmp_path / name for name in ("a.ply", "b.ply")}
    for path in files.values():
        path.write_text("mine")
    output = files["b.ply"]
    if link:
        output = tmp_path / "c.json"
        output.symlink_to("b.ply")
    given = ["--prediction", files["a.ply"], "--ground-truth", files["b.ply"], "--output", output]
    marks = [f"--{mesh}-landmarks={files['a.ply']}" for mesh in ("prediction", "ground-truth")]
    assert cli.main(["score", "two_meshes", *map(str, given), *marks]) == 2
    assert f"{output}: also given as --ground-truth" in capsys.readouterr().err
    assert files["b.ply"].read_text() == "mine"
