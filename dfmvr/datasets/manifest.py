"""The manifest of a data set: one row a view of every sample, as parquet with a checked schema.

`index` is the sample's place in images.npy, -1 for one that was set aside; `reason` then tells why. `yaw` is nominal,
`measured_yaw` that of the alignment: degrees, negative where the nose points to the image's left, NaN where unknown.
`scan` is what `dfmvr mesh` has made of the scan of a test sample.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

import pandas as pd
import pandera.pandas as pa
import pyarrow
from pyarrow.parquet import ParquetWriter

from dfmvr.conventions import VIEWS
from dfmvr.datasets.sample import RANDOM_LIGHT, SPLITS, Sample
from dfmvr.errors import DataError

KEPT, SET_ASIDE = "ok", "set aside"
ROWS_AT_ONCE = 3000

SCHEMA = pa.DataFrameSchema(
    {
        "sample": pa.Column(str, pa.Check.str_matches(r"^[^/\\]+$")),
        "subject": pa.Column(str),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
        "expression": pa.Column(str),
        "illumination": pa.Column(str),
        "view": pa.Column(str, pa.Check.isin(VIEWS)),
        "yaw": pa.Column(float, pa.Check.in_range(-180, 180), nullable=True),
        "measured_yaw": pa.Column(float, pa.Check.in_range(-180, 180), nullable=True),
        "index": pa.Column("int64", pa.Check.ge(-1)),
        "image": pa.Column(str),
        "landmarks": pa.Column(str),
        "scan": pa.Column(str),
        "status": pa.Column(str, pa.Check.isin((KEPT, SET_ASIDE))),
        "reason": pa.Column(str),
    },
    checks=[
        pa.Check(
            lambda t: (t["status"] == KEPT) == (t["index"] >= 0), error="a kept sample, and no other, has an index"
        ),
        pa.Check(lambda t: (t["status"] == KEPT) == (t["reason"] == ""), error="a reason goes with a set aside sample"),
    ],
    unique=["sample", "view"],
    strict=True,
    ordered=True,
)
"""Columns, types and rules of a manifest."""

_ARROW = pyarrow.schema(
    [
        (name, {"float64": pyarrow.float64(), "int64": pyarrow.int64()}.get(str(column.dtype), pyarrow.string()))
        for name, column in SCHEMA.columns.items()
    ]
)


class TestSample(NamedTuple):
    """A sample that methods are measured on."""

    sample: str
    subject: str
    scan: Path | None
    reason: str  # why it was set aside, or nothing


TestSample.__test__ = False  # it is no test case, whatever pytest thinks of its name


def rows_of(sample: Sample, index: int, reason: str = "", measured_yaws: Iterable[float] | None = None) -> list[dict]:
    """Make the rows of a sample; index -1 and a reason if it is set aside."""
    yaws = measured_yaws if measured_yaws is not None else (float("nan"),) * len(VIEWS)
    views = zip(VIEWS, sample.yaws, yaws, sample.photos, sample.annotations, strict=True)
    return [
        {
            "sample": sample.sample,
            "subject": sample.subject,
            "split": sample.split,
            "expression": sample.expression,
            "illumination": sample.illumination,
            "view": view,
            "yaw": float(yaw),
            "measured_yaw": float(measured),
            "index": index,
            "image": str(photo or ""),
            "landmarks": str(annotation or ""),
            "scan": str(sample.scan or ""),
            "status": SET_ASIDE if reason else KEPT,
            "reason": reason,
        }
        for view, yaw, measured, photo, annotation in views
    ]


class ManifestWriter:
    """Writes a manifest as it grows, checked piece by piece: no more than a few thousand rows are held."""

    def __init__(self, path: Path) -> None:
        self.path, self._rows = path, []
        self._file = ParquetWriter(path, _ARROW)

    def add(self, rows: Iterable[dict]) -> None:
        """Add the rows of one sample.

        Raises:
            DataError: a row breaks the schema.
        """
        self._rows += rows
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = _check(pd.DataFrame(self._rows, columns=list(SCHEMA.columns)), self.path)
            self._file.write_table(pyarrow.Table.from_pandas(table, _ARROW, preserve_index=False))
        self._rows = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._file:
            if kind is None:
                self._flush()


def read_manifest(path: Path | str) -> pd.DataFrame:
    """Read and check a manifest.

    Raises:
        DataError: the file is missing, unreadable or breaks the schema.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dfmvr align`, which makes it") from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable table ({' '.join(str(error).split())}); run `dfmvr align` again"
        ) from None
    return _check(table, path)


def _check(table: pd.DataFrame, source: Path | str) -> pd.DataFrame:
    """Refuse a table where a column is missing or of the wrong type, or a row breaks a rule (the first is told)."""
    try:
        return SCHEMA.validate(table)
    except (pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
        problem = " ".join(str(error).split())[:300]
        raise DataError(
            f"{source}: not a manifest as `dfmvr align` writes it: {problem}; align the data set again"
        ) from None


def samples_to_test(path: Path | str) -> list[TestSample]:
    """List the test samples of a manifest, also those that were set aside.

    Raises:
        DataError: the manifest is missing or broken, or has no test sample.
    """
    table = read_manifest(path)
    table = table[table["split"] == "test"].drop_duplicates("sample")
    if table.empty:
        raise DataError(f"{path}: expected samples of the test split, found none; check the data set")
    columns = zip(table["sample"], table["subject"], table["scan"], table["reason"], strict=True)
    return [
        TestSample(sample, subject, Path(scan) if scan else None, reason) for sample, subject, scan, reason in columns
    ]


def varied_view(manifest: pd.DataFrame) -> str:
    """The side view that has the most nominal yaws in a data set, such as the one that Table V varies; else the left.

    Of Bosphorus it is that of the turns to R, which is the right one where `datasets.bosphorus.exchange_sides` says so.
    """
    yaws = manifest.groupby("view")["yaw"].nunique()
    return max((VIEWS[0], VIEWS[-1]), key=lambda view: yaws.get(view, 0))


def varied_yaws(manifest: pd.DataFrame) -> pd.Series:
    """Nominal yaw of that view by sample, degrees; NaN where it is not known, and where it was drawn with the light."""
    views = manifest[manifest["view"] == varied_view(manifest)].set_index("sample")
    return views["yaw"].mask(views["illumination"] == RANDOM_LIGHT)
