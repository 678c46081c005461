"""What a manifest's table must be. Apart from `manifest`, since the libraries of tables are slow to import."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pyarrow

from dfmvr.conventions import VIEWS
from dfmvr.datasets.manifest import KEPT, SET_ASIDE
from dfmvr.errors import DataError

SPLITS = ("train", "val", "test")

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

ARROW = pyarrow.schema(
    [
        (name, {"float64": pyarrow.float64(), "int64": pyarrow.int64()}.get(str(column.dtype), pyarrow.string()))
        for name, column in SCHEMA.columns.items()
    ]
)


def check_manifest(table: pd.DataFrame, source: Path | str) -> pd.DataFrame:
    """Check a manifest against `SCHEMA`.

    Raises:
        DataError: a column is missing or of the wrong type, or a row breaks a rule (the first is told).
    """
    try:
        return SCHEMA.validate(table)
    except (pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
        problem = " ".join(str(error).split())[:300]
        raise DataError(
            f"{source}: not a manifest as `dfmvr align` writes it: {problem}; align the data set again"
        ) from None


def as_arrow(rows: list[dict], source: Path | str) -> pyarrow.Table:
    """Check rows, as `manifest.rows_of` makes them, and give them as a table to write.

    Raises:
        DataError: a row breaks the schema.
    """
    table = check_manifest(pd.DataFrame(rows, columns=list(SCHEMA.columns)), source)
    return pyarrow.Table.from_pandas(table, ARROW, preserve_index=False)
