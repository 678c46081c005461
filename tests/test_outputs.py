"""Every command that writes a folder leaves what others have put there as it was, twice in a row."""

import ast
import json
from pathlib import Path

import pytest
from test_folders import OTHERS, contents, fill
from test_simulate import SETTINGS
from toy_network import SIZE, write_toy_training

from dfmvr import cli
from dfmvr.config.configuration import Config

PACKAGE = Path(cli.__file__).parent

REMOVING = {"rmtree", "unlink", "rmdir", "remove", "replace", "rename", "renames", "move", "removedirs"}
"""Calls that delete files or put others in their place."""

REMOVERS = {
    "folders.py": "what a manifest tells, and hidden folders of its own",
    "files.py": "the one file that is named, and its temporary name",
    "app/command.py": "the empty folder of its own temporary ones",
    "app/sessions.py": "its own copies of photographs, and the faces made of them",
    "fetch/download.py": "the download that is named, and what came of it so far",
    "fetch/obtain.py": "the archive that it has downloaded",
    "fetch/archive.py": "its own new folder",
    "parse/pretrain.py": "the checkpoint of the training that is done",
}


def removes(node):
    """Whether a call may take a file away from its place."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in REMOVING:
        return False
    if node.func.attr in ("replace", "remove", "rename"):  # texts, lists and tables have them too
        of_path = node.func.attr == "rename" and all(isinstance(argument, ast.Name) for argument in node.args)
        return ast.unparse(node.func.value) in ("os", "shutil") or (of_path and not node.keywords)
    return True


def test_files_are_taken_away_in_few_places():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(map(removes, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == set(REMOVERS)


COMMANDS = {
    "simulate": "simulate --dataset pixel_face --heads {heads} --settings {simulate} --output {folder}/simulate",
    "mesh": "mesh --format pixel_face --data {folder}/simulate --output {folder}/mesh",
    "align": "align --data {folder}/simulate --mesh {folder}/mesh --face-model {folder}/model.npz"
    " --settings {align} --output {folder}/align",
    "parse": "parse --align {folder}/align --weights {folder}/parser.safetensors --output {folder}/parse",
    "reconstruct dataset": "reconstruct dataset --align {folder}/align --parse {folder}/parse"
    " --checkpoint {folder}/network.safetensors --output {folder}/answers",
    "reconstruct fitted": "reconstruct fitted --answers {folder}/answers --align {folder}/align --parse {folder}/parse"
    " --data {folder}/simulate --face-model {folder}/model.npz --output {folder}/fitted",
    "reconstruct mean_face": "reconstruct mean_face --align {folder}/align --face-model {folder}/model.npz"
    " --output {folder}/mean_face",
    "reconstruct floor": "reconstruct floor --manifest {folder}/align/manifest.parquet --face-model {folder}/model.npz"
    " --output {folder}/floor",
    "report diagrams": "report diagrams --set study.tests={{pixel_face:[deng]}} --output {folder}/diagrams",
    "report": "report --results {results} --output {folder}/page.html --tables {folder}/report --scores {scores}"
    " --study {study} --settings {report}",
}
"""Commands that write a folder, in an order in which each finds what it needs; its last word is the folder but for the
report's, which is told apart. `reconstruct` of photographs is tried in test_photographs.py and test_batch.py, and
`simulate real_scan` needs a scan that is not here."""

ELSEWHERE = {"reconstruct", "simulate real_scan"}

NAMED = OTHERS | {
    f"{name}/mine.ply": b"mine" for name in ("meshes", "scans", "Images", "figures", "0", "fusion", "00001_01")
}


def test_all_commands_that_write_folders_are_tried():
    writers = set()
    for command in cli.COMMANDS:
        file = PACKAGE.joinpath(*command.module.split(".")[1:]).with_suffix(".py")
        parts = [file, PACKAGE / "mesh" / "dataset.py"] if command.name == "mesh" else [file]
        if any("writing_folder(" in part.read_text(encoding="utf-8") for part in parts):
            writers.add(command.name)
    assert writers == set(COMMANDS) | ELSEWHERE


@pytest.fixture(scope="module")
def words(heads_file, results, tmp_path_factory):
    """What the commands are told."""
    folder = write_toy_training(tmp_path_factory.mktemp("outputs"))
    scores = [str(results / "score" / method / "pixel_face.parquet") for method in ("mean_face", "dfmvr")]
    return {
        "folder": str(folder),
        "heads": str(heads_file),
        "results": str(results),
        "scores": scores,
        "simulate": SETTINGS.as_json(),
        "align": json.dumps({"image_size": SIZE}),
        "study": Config().as_json(),
        "report": '{"bootstrap": 100, "panels": 0}',
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_what_others_have_put_there_stays(words, name):
    folder = Path(words["folder"])
    arguments = []
    for word in COMMANDS[name].split(" "):
        told = words.get(word.strip("{}")) if word.startswith("{") else None
        arguments += told if isinstance(told, list) else [told or word.format(**words)]
    output = folder / ("report" if name == "report" else Path(arguments[-1]).name)
    fill(output, NAMED)
    made = None
    for _ in range(2):
        assert cli.main(arguments) == 0
        found = contents(output)
        assert {file: found.get(file) for file in NAMED} == NAMED
        assert made in (None, found.keys())
        made = found.keys()
    assert len(made) > len(NAMED)
    assert not list(folder.rglob(".dfmvr-????????-????????"))
