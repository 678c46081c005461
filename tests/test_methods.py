"""The registry of methods: keys, names, order, looks, and that a further variant is one record."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import indent

import pytest
from guide_pages import blocks

from dfmvr.config.configuration import Config
from dfmvr.study.methods import MEAN, VARIANTS, in_order, one_of_each_kind, read_key
from dfmvr.study.paper import COMPARISONS

ROOT = Path(__file__).parents[1]

METHODS = [
    ("dfmvr_seed2", ("dfmvr", 2, ""), "DF-MVR, seed 2"),
    ("shang_seed1_from_left", ("shang", 1, "left"), "Shang et al., left view, seed 1"),
    ("dfmvr_mixed_from_front", ("dfmvr_mixed", 0, "front"), "DF-MVR, mixed input, front view alone"),
    ("shang_multi_pie_mean", ("shang_multi_pie", 0, MEAN), "Shang et al., cross-data, mean of three views"),
    ("deng_seed3", ("deng", 3, ""), "Deng et al., seed 3"),
    ("dfmvr_mask_1_5", ("dfmvr_mask_1_5", 0, ""), "DF-MVR, w_{m} = 1.5"),
    ("dfmvr_seedless", ("dfmvr_seedless", 0, ""), "dfmvr_seedless"),
    ("own_best_seed2_from_right", ("own_best", 2, "right"), "own_best, right view alone, seed 2"),
]


@pytest.mark.parametrize(("key", "fields", "name"), METHODS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_key_is_read_and_written_alike(key, fields, name):
    method = read_key(key)
    assert (method.variant.key, method.seed, method.view) == fields
    assert method.key == key
    assert method.name == name
    assert method.training == read_key(method.training).key == fields[0] + (f"_seed{fields[1]}" if fields[1] else "")


def test_methods_stand_in_one_order_everywhere():
    names = ("floor", "own", "dfmvr_seed10", "dfmvr_photo_2", "dfmvr_seed2", "dfmvr", "deng_from_front", "deng")
    expected = ["deng", "deng_from_front", "dfmvr", "dfmvr_seed2", "dfmvr_seed10", "dfmvr_photo_2", "floor", "own"]
    assert in_order(names) == expected


def test_one_method_of_each_kind_is_shown():
    names = ["dfmvr_multi_pie", "dfmvr_seed1", "floor", "shang_multi_pie_best", "deng_multi_pie", "dfmvr_cnn"]
    assert one_of_each_kind(names) == ["shang_multi_pie_best", "deng_multi_pie", "dfmvr_multi_pie", "floor"]
    assert one_of_each_kind(["mean_face", "dfmvr_of_mine"]) == ["mean_face", "dfmvr_of_mine"]
    assert one_of_each_kind(["dfmvr_mixed_from_front", "deng", "dfmvr_mixed"]) == ["deng", "dfmvr_mixed"]
    mixed = ["dfmvr_mixed_from_front", "dfmvr_cnn", "dfmvr_resnet", "deng"]
    assert one_of_each_kind([*mixed, "dfmvr_mixed"]) == ["deng", "dfmvr_mixed"]
    assert one_of_each_kind(mixed) == ["deng", "dfmvr_cnn"]
    fitted = ["dfmvr_mixed_fitted", "dfmvr_mixed"]  # with its network, and where DF-MVR itself is not
    assert one_of_each_kind(fitted) == ["dfmvr_mixed", "dfmvr_mixed_fitted"]
    assert one_of_each_kind([*fitted, "dfmvr", "dfmvr_fitted"]) == ["dfmvr", "dfmvr_fitted"]


def test_methods_can_be_told_apart_without_colour():
    marks = Counter(variant.line[1:3] for variant in VARIANTS.values() if not variant.across)
    assert max(marks.values()) == 1
    views = {read_key(f"shang_from_{view}").line.marker for view in ("left", "front", "right")}
    assert len(views) == 3
    assert read_key("dfmvr_multi_pie_seed2").line == read_key("dfmvr").line
    assert read_key("own_seed1").line.colour in {"#009e73", "#cc79a7", "#e69f00", "#56b4e9"}


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda c: c.name)
def test_the_workflow_tests_what_stands_beside_the_papers_rows(comparison):
    tested = {(method.key, dataset) for method, dataset in Config().tests_of(comparison.name)}
    shown = [row.method for row in comparison.rows.values() if row.tested]
    assert tested == {(part.key, comparison.datasets[0]) for method in shown for part in method.parts}
    assert all(row.tested for row in comparison.rows.values() if row.paper)
    claimed = {method for claim in comparison.claims for order in claim.orders for method in order.weights}
    assert claimed | {comparison.ours} <= set(comparison.rows)


BEFORE = "    Variant(\n        OURS,\n"
EXAMPLE = next(block for block in blocks("docs/extending.md", "python") if block.startswith("Variant("))
RECORD = indent(EXAMPLE.rstrip(), "    ") + ",\n"
"""The guide's example of a variant."""

SEEN = """
from pathlib import Path
import pandas as pd
from guide_pages import blocks
from toy_study import MEANS, write_study
from dfmvr import cli
from dfmvr.config import docs
from dfmvr.config.configuration import Config
from dfmvr.study.methods import read_key

ROOT = Path.cwd()
MEANS["mine"] = 1.39
settings = Config()
assert settings.variant("mine").epochs == 2
assert settings.trained_on("table_4")["mine"] == "pixel_face"
assert "mine" in settings.study.tests["pixel_face"] and '"mine": {"epochs": 2}' in docs.markdown()
write_study(ROOT, {"pixel_face": settings.study.tests["pixel_face"]}, subjects=4, trained=["mine"])
arguments = ["--results", str(ROOT), "--tables", str(ROOT / "tables"), "--output", str(ROOT / "page.html")]
assert cli.main(["report", *arguments, "--settings", '{"bootstrap": 100, "panels": 0}']) == 0
table = pd.read_csv(ROOT / "tables/table_4.csv").set_index("label")
assert abs(table.loc["v7", "mean_mm"] - MEANS["mine"]) < 0.3 and list(table.index)[-3:] == ["v7", "v6", "Floor"]
page = (ROOT / "page.html").read_text()
assert ">My variant<" in page and "#123456" in (ROOT / "tables/figures/training_df_mvr_pixel_face.svg").read_text()
"""
"""What shows that the new variant is trained, tested, named, coloured, and in its table."""


def test_a_further_variant_is_one_record_in_one_file(tmp_path):
    (tmp_path / "dfmvr").mkdir()
    for part in (ROOT / "dfmvr").iterdir():
        if part.name != "study":
            (tmp_path / "dfmvr" / part.name).symlink_to(part)
    shutil.copytree(ROOT / "dfmvr" / "study", tmp_path / "dfmvr" / "study")
    registry = tmp_path / "dfmvr" / "study" / "methods.py"
    text = registry.read_text(encoding="utf-8")
    assert text.count(BEFORE) == 1
    registry.write_text(text.replace(BEFORE, RECORD + BEFORE), encoding="utf-8")
    given = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run([sys.executable, "-c", SEEN], cwd=tmp_path, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
