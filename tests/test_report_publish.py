import re
import subprocess

import pandas as pd
import pytest
import yaml
from npm_modules import serious_faults
from toy_study import TESTS, write_study

from dfmvr import __version__, cli
from dfmvr.report import publish
from dfmvr.report.publish import commit_of
from dfmvr.report.tables.run_tables import total_costs

TRAINED = ("dfmvr", "dfmvr_cnn", "deng", "shang")
LACKING = "dfmvr_without_mask"


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
    assert _publish(root, "--benchmarks", str(root / "benchmarks")) == 0
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
    assert "CPU time of all jobs</th><td>3.0 hours" in text
    assert "bootstrap: 200" in text
    assert "812 MiB" in text


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
    git("add", "file")
    git("commit", "-qm", "one")
    (tmp_path / "inner").mkdir()
    commit = git("rev-parse", "HEAD").strip()
    assert commit_of(tmp_path / "inner") == commit[:12]
    (tmp_path / "file").write_text("b")
    assert commit_of(tmp_path) == f"{commit[:12]} with changes"
