"""Manifests: what is written is read, whatever breaks a rule is refused, and memory does not grow with the rows."""

import math

import pandas as pd
import pytest
from toy_manifest import write_manifest

from dfmvr.conventions import VIEWS
from dfmvr.datasets.manifest import SCHEMA, ManifestWriter, read_manifest, rows_of, samples_to_test
from dfmvr.datasets.sample import Sample
from dfmvr.errors import DataError


def sample_of(i, split="test", scan=None):
    photos = tuple(f"s{i}/{view}.jpg" if view != "right" else None for view in VIEWS)
    return Sample(f"s{i}", f"p{i // 2}", split, photos, scan=scan, expression="smile", yaws=(-45.0, 0.0, math.nan))


def test_rows_survive_a_round_trip(tmp_path):
    path = write_manifest(tmp_path / "m.parquet", [sample_of(0, scan="a.bnt"), sample_of(1), sample_of(2, "train")])
    table = read_manifest(path)
    assert list(table.columns) == list(SCHEMA.columns)
    assert table["view"].tolist() == [*VIEWS] * 3
    assert table["index"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    row = table.iloc[0]
    assert (row["sample"], row["subject"], row["expression"], row["image"]) == ("s0", "p0", "smile", "s0/left.jpg")
    assert (row["yaw"], row["scan"], row["status"]) == (-45.0, "a.bnt", "ok")
    assert math.isnan(table["yaw"][2])
    assert table["image"][2] == ""


def test_test_samples_are_listed_with_their_scans_and_reasons(tmp_path):
    samples = [sample_of(0, scan="a.bnt"), sample_of(1), sample_of(2, "train"), sample_of(3)]
    path = write_manifest(tmp_path / "m.parquet", samples, {"s3": "blurred"})
    found = samples_to_test(path)
    assert [(s.sample, str(s.scan), s.reason) for s in found] == [
        ("s0", "a.bnt", ""),
        ("s1", "None", ""),
        ("s3", "None", "blurred"),
    ]
    with pytest.raises(DataError, match="expected samples of the test split, found none"):
        samples_to_test(write_manifest(tmp_path / "n.parquet", [sample_of(2, "train")]))


BAD = {
    "split": lambda t: t.assign(split="tset"),
    "view": lambda t: t.assign(view="front"),
    "yaw": lambda t: t.assign(yaw=200.0),
    "index": lambda t: t.assign(index=t["index"].astype(float)),
    "status": lambda t: t.assign(status="set aside"),
    "reason": lambda t: t.assign(reason="why"),
    "sample": lambda t: t.assign(sample="../s0"),
    "scan": lambda t: t.drop(columns="scan"),
    "colour": lambda t: t.assign(colour="red"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_table_that_breaks_a_rule_is_refused(tmp_path, name):
    path = write_manifest(tmp_path / "m.parquet", [sample_of(0)])
    BAD[name](pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(DataError, match=r"m\.parquet: not a manifest.*align the data set again"):
        read_manifest(path)


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), (b"PAR1", "not a readable table")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, message):
    path = tmp_path / "m.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_manifest(path)


def test_many_rows_are_written_piece_by_piece(tmp_path):
    path = tmp_path / "m.parquet"
    with ManifestWriter(path) as manifest:
        for i in range(4000):
            manifest.add(rows_of(sample_of(i), i))
            assert len(manifest._rows) < 3100
    assert len(read_manifest(path)) == 12000


def test_a_row_that_breaks_a_rule_is_not_written(tmp_path):
    with pytest.raises(DataError, match="not a manifest"), ManifestWriter(tmp_path / "m.parquet") as manifest:
        manifest.add(rows_of(sample_of(0), -1))
