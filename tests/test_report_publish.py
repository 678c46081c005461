import html
import json
import re
import shlex
import shutil
import subprocess

import pandas as pd
import pytest
import yaml
from npm_modules import serious_faults
from toy_study import TESTS, write_study

from dfmvr import __version__, cli
from dfmvr.config.configuration import overridden
from dfmvr.files import read_json
from dfmvr.folders import manifest_of
from dfmvr.report import publish
from dfmvr.report.publish import MAKER, commit_of
from dfmvr.report.tables.run_tables import total_costs

TRAINED = ("dfmvr", "dfmvr_cnn", "deng", "shang")
LACKING = "dfmvr_without_mask"
OVERRIDES = ("train.learning_rate=0.002", "train.loss.mask=0.5", "simulate.jpeg_quality=[60, 90]")


def _publish(root, *arguments):
    paths = ["--results", root / "results", "--publish", root / "study", "--config", root / "config.yaml"]
    return cli.main(["report", *map(str, paths), *arguments])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """An unfinished study: a method was not trained, and no second seed of anything."""
    root = tmp_path_factory.mktemp("published")
    tests = {data: [m for m in methods if m != LACKING] for data, methods in TESTS.items()}
    write_study(root / "results", tests, subjects=8, trained=TRAINED)
    settings = {"report": {"bootstrap": 200, "panels": 0}, "train": {"epochs": 6}}
    (root / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    _write_benchmarks(root / "benchmarks")
    overrides = [word for one in OVERRIDES for word in ("--set", one)]
    assert _publish(root, "--benchmarks", str(root / "benchmarks"), *overrides) == 0
    return root


def _write_benchmarks(folder):
    for name in ("train/dfmvr", "score/dfmvr_pixel_face"):
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text('{"s": 7200.0, "cpu_time": 5400.0, "max_rss": 812.0}\n', encoding="utf-8")


def _text(study):
    return " ".join((study / "study" / "index.html").read_text(encoding="utf-8").split())


def test_what_is_published_passes_the_check_by_itself(study, tmp_path):
    (study / "study").rename(tmp_path / "elsewhere")
    try:
        paths = ["--tables", tmp_path / "elsewhere" / "tables", "--results", tmp_path / "elsewhere" / "results"]
        assert cli.main(["report", "--check", *map(str, paths)]) == 0
        table = tmp_path / "elsewhere" / "tables" / "table_1.csv"
        whole = table.read_text()
        table.write_text(whole.replace("1.8877", "1.8876"))
        assert cli.main(["report", "--check", *map(str, paths)]) == 2
        table.write_text(whole)
    finally:
        (tmp_path / "elsewhere").rename(study / "study")


def test_the_numbers_are_those_of_the_whole_report(study, tmp_path):
    given = ["--results", study / "results", "--tables", tmp_path / "tables", "--output", tmp_path / "report.html"]
    assert cli.main(["report", *map(str, given), "--config", str(study / "config.yaml")]) == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "tables").glob("*.csv")}
    published = {path.name: path.read_bytes() for path in (study / "study" / "tables").glob("*.csv")}
    del published["runtimes.csv"]
    assert published == whole


def test_an_unfinished_study_says_what_is_missing(study):
    text = _text(study)
    assert "This study is not finished: 12 of its 13 trainings have results." in text
    assert "Missing on Pixel-Face stand-in (anny population): DF-MVR (w/o face mask)." in text
    assert text.index("not finished") < text.index("<section")
    row = pd.read_csv(study / "study" / "tables" / "table_4.csv").set_index("method").loc[LACKING]
    assert row[["mean_mm", "std_mm", "samples"]].isna().all()
    assert "<strong>Not tested.</strong> Face masks and mask loss together lower the error" in text


def test_the_page_tells_commands_costs_and_configuration(study):
    text = _text(study)
    assert f"snakemake --cores all --configfile {study}/config.yaml" in text
    assert f"dfmvr report --check --tables {study}/study/tables --results {study}/study/results" in text
    command = next(line for line in html.unescape(text).split("<") if "snakemake --cores all --configfile" in line)
    told = shlex.split(command[command.index("--config ") : command.index("dfmvr report")])[1:]
    sections = {name: yaml.safe_load(value) for name, _, value in (one.partition("=") for one in told)}
    assert sections == overridden({}, list(OVERRIDES))
    assert sections["train"] == {"learning_rate": 0.002, "loss": {"mask": 0.5}}
    assert "CPU time of all jobs</th><td>3.0 hours" in text
    assert "bootstrap: 200" in text
    assert "812 MiB" in text
    assert "trainings among these jobs</th><td>1 of 4<" in text


def test_axe_finds_no_serious_fault_with_the_page_on_a_phone(study):
    assert serious_faults(study / "study" / "index.html", "500,900") == []


def test_it_needs_no_network_and_little_room(study):
    assert not re.search(r'(?:src|href)="(?!data:|#)', _text(study))
    assert publish.check_size(study / "study") < publish.MOST_BYTES


def test_what_was_published_is_replaced_whole_and_nothing_else(tmp_path, monkeypatch, capsys):
    write_study(tmp_path / "results", {"pixel_face": ("mean_face", "dfmvr", "floor")}, subjects=4)
    settings = {"report": {"bootstrap": 100, "panels": 0}, "study": {"tests": {"pixel_face": ["dfmvr", "deng"]}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    _write_benchmarks(tmp_path / "benchmarks")
    assert _publish(tmp_path, "--benchmarks", str(tmp_path / "benchmarks")) == 0
    assert "Missing on Pixel-Face stand-in (anny population): Deng et al.." in _text(tmp_path)
    (tmp_path / "study" / "mine.txt").write_text("mine")
    score = tmp_path / "results" / "score"
    (score / "deng").mkdir()
    made = pd.read_parquet(score / "dfmvr" / "pixel_face.parquet").assign(method="deng")
    made.to_parquet(score / "deng" / "pixel_face.parquet")
    assert _publish(tmp_path) == 0
    assert "not finished" not in _text(tmp_path)
    assert not (tmp_path / "study" / "tables" / "runtimes.csv").exists()
    assert (tmp_path / "study" / "mine.txt").read_text() == "mine"
    # and one that is too large leaves what is there as it is
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "study").rglob("*")}
    monkeypatch.setattr(publish, "MOST_BYTES", 10_000)
    assert _publish(tmp_path) == 2
    assert "lower report.panels" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "study").rglob("*") if path.is_file()}.items() <= (
        before.items()
    )


@pytest.fixture
def two_machines(study, tmp_path):
    """What was published, and the results of another machine that has made one of the trainings alone."""
    (tmp_path / "config.yaml").write_text((study / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    shutil.copytree(study / "study", tmp_path / "study")
    kept = {"pixel_face": ("mean_face", "deng", "floor")}
    for method in kept["pixel_face"]:
        (tmp_path / "results" / "score" / method).mkdir(parents=True)
        shutil.copy(study / "results" / "score" / method / "pixel_face.parquet", tmp_path / "results/score" / method)
    for part in ("align/pixel_face", "train/deng"):
        shutil.copytree(study / "results" / part, tmp_path / "results" / part)
    return tmp_path


def _numbers(folder):
    """The tables, each in a fixed order of its rows: where a test was made moves rows alone."""
    tables = {path.name: path.read_text(encoding="utf-8").splitlines() for path in (folder / "tables").glob("*.csv")}
    return {name: (lines[0], sorted(lines[1:])) for name, lines in tables.items() if name != "runtimes.csv"}


def test_tests_of_another_machine_count(two_machines, study):
    earlier = (two_machines / "study").rename(two_machines / "earlier")
    told = earlier / "tables" / "made.json"
    made = read_json(told)
    assert set(made["commits"]) >= {"dfmvr/pixel_face", "deng/pixel_face"}
    told.write_text(json.dumps(made | {"commits": dict.fromkeys(made["commits"], "0123456789ab")}), encoding="utf-8")
    own = {"train/deng": 7200.0, "score/dfmvr_pixel_face": 3600.0}
    of_another_study = {"train/dfmvr_long": 900.0, "register/dfmvr_long_pixel_face": 30.0}
    for job, seconds in (own | of_another_study).items():
        (path := two_machines / "benchmarks" / f"{job}.jsonl").parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"s": seconds, "cpu_time": seconds, "max_rss": 900.0}), encoding="utf-8")
    assert _publish(two_machines, "--earlier", str(earlier), "--benchmarks", str(two_machines / "benchmarks")) == 0
    jobs = pd.read_csv(two_machines / "study" / "results" / "jobs.csv").set_index("job")["cpu_seconds"]
    assert jobs.to_dict() == {"train/dfmvr": 5400.0} | own  # a job of both is counted once
    assert "CPU time of all jobs</th><td>4.5 hours" in _text(two_machines)
    assert _numbers(two_machines / "study") == _numbers(study / "study")
    found = read_json(two_machines / "study" / "tables" / "made.json")["commits"]
    assert found["dfmvr/pixel_face"] == "0123456789ab"
    assert found["deng/pixel_face"] == commit_of(two_machines / "results") != "0123456789ab"
    row = re.search(r"at commit 0123456789ab</th><td>(.*?)</td>", _text(two_machines)).group(1)
    assert "dfmvr/pixel_face" in row
    assert "deng/pixel_face" not in row


def _worse(table):
    return table.assign(rmse_mm=table["rmse_mm"] + 0.02)


def _fewer(table):
    return table[table["subject"] != table["subject"].iloc[0]]


@pytest.mark.parametrize(("change", "told"), [(_worse, "differ by 0.020 mm"), (_fewer, "other samples")])
def test_tests_on_other_data_do_not(two_machines, change, told, capsys):
    score = two_machines / "results" / "score" / "mean_face" / "pixel_face.parquet"
    change(pd.read_parquet(score)).to_parquet(score)
    before = (two_machines / "study" / "index.html").read_bytes()
    assert _publish(two_machines, "--earlier", str(two_machines / "study")) == 2
    assert told in capsys.readouterr().err
    assert (two_machines / "study" / "index.html").read_bytes() == before


def test_what_both_have_must_tell_that_the_data_is_one(two_machines, capsys):
    for method in ("mean_face", "floor"):
        shutil.rmtree(two_machines / "results" / "score" / method)
    scores = two_machines / "study" / "results" / "scores.parquet"
    table = pd.read_parquet(scores)
    table[table["method"] != "deng"].to_parquet(scores)
    assert _publish(two_machines, "--earlier", str(two_machines / "study")) == 2
    assert "such as mean_face" in capsys.readouterr().err


def test_a_folder_that_was_not_published_is_told(two_machines, capsys):
    assert _publish(two_machines, "--earlier", str(two_machines / "nothing")) == 2
    told = "nothing/results/scores.parquet: no such file; run `dfmvr report --publish`, which makes it"
    assert told in capsys.readouterr().err


def test_a_study_without_its_configuration_is_not_published(study, capsys):
    given = ["--results", str(study / "results"), "--publish", str(study / "other")]
    assert cli.main(["report", *given]) == 2
    assert "--config" in capsys.readouterr().err
    assert not (study / "other").exists()


def test_hours_are_those_in_which_anything_ran():
    frame = pd.DataFrame(
        [(3600.0, 3000.0, 100.0, 3600.0), (3600.0, 3600.0, 300.0, 5400.0), (1800.0, 600.0, 50.0, 20000.0)],
        columns=["seconds", "cpu_seconds", "memory_mib", "end"],
    )
    assert total_costs(frame) == pytest.approx({"cpu_hours": 2.0, "wall_hours": 2.0, "memory_mib": 300.0})


def test_a_commit_is_that_of_the_working_copy(tmp_path):
    assert commit_of(tmp_path) == f"dfmvr {__version__}, in no working copy"

    def git(*arguments):
        told = ["-c", "user.name=t", "-c", "user.email=t@t", *arguments]
        return subprocess.run(["git", "-C", tmp_path, *told], check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (tmp_path / "file").write_text("a")
    (tmp_path / "study").mkdir()
    for path in (tmp_path / "study" / "page", manifest_of(tmp_path / "study", MAKER)):
        path.write_text("a")
    git("add", ".")
    git("commit", "-qm", "one")
    (tmp_path / "inner").mkdir()
    commit = git("rev-parse", "HEAD").strip()
    assert commit_of(tmp_path / "inner") == commit[:12]
    (tmp_path / "study" / "page").write_text("b")
    assert commit_of(tmp_path) == commit[:12]
    (tmp_path / "file").write_text("b")
    assert commit_of(tmp_path) == f"{commit[:12]} with changes"
