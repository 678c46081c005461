"""What is learnt, in words: where DF-MVR stands, and which orders of methods that the paper reports are found here."""

from __future__ import annotations

import pandas as pd

from dfmvr.report.captions import caption
from dfmvr.report.page import Section
from dfmvr.report.sections.results import Compared, Report
from dfmvr.report.tables import orders, printed
from dfmvr.report.tables.table import interval, number, percent
from dfmvr.study.methods import FLOOR, MEAN_FACE
from dfmvr.study.paper import RANDOM, Comparison


def findings(report: Report, tables: list[Compared]) -> list[str]:
    """Say in a paragraph for each data set what was found, by the first table that has DF-MVR on it."""
    paragraphs: dict[str, str] = {}
    for comparison, frame, _ in tables:
        for dataset, part in frame.groupby("dataset", sort=False):
            rows = part[part["samples"] > 0].drop_duplicates("method").set_index("method")
            if dataset not in paragraphs and comparison.ours in rows.index and not comparison.by_yaw:
                paragraphs[dataset] = _finding(report, comparison, dataset, rows)
    claims = _claims(tables)
    return [*paragraphs.values(), *([] if claims.empty else [caption("finding_claims", **_counts(claims))])]


def _claims(tables: list[Compared]) -> pd.DataFrame:
    """The claims of all tables of which any could be tested."""
    tested = [table.claims for table in tables if (table.claims["verdict"] != orders.NOT_RUN).any()]
    return pd.concat(tested, ignore_index=True) if tested else pd.DataFrame()


def _counts(claims: pd.DataFrame) -> dict[str, int]:
    """Number of claims of each verdict, for a caption."""
    counts = {kind.replace(" ", "_"): number_of for kind, number_of in orders.count_verdicts(claims).items()}
    return counts | {"count": len(claims)}


def _finding(report: Report, comparison: Comparison, dataset: str, rows: pd.DataFrame) -> str:
    ours = rows.loc[comparison.ours]
    ends = interval((ours["mean_mm_low"], ours["mean_mm_high"]), _short)
    facts = {"data": report.name(dataset), "samples": int(ours["samples"]), "subjects": int(ours["subjects"])}
    facts |= {"table": comparison.title, "method": ours["label"], "mean": _short(ours["mean_mm"]), "ends": ends}
    parts = [caption("finding", **facts)]
    if MEAN_FACE in rows.index:
        parts.append(_verdict(ours, rows.loc[MEAN_FACE, "mean_mm"]))
    if pd.notna(ours["gap_closed"]):
        ends = interval((ours["gap_closed_low"], ours["gap_closed_high"]), percent)
        floor = _short(rows.loc[FLOOR, "mean_mm"])
        parts.append(caption("finding_gap", gap=percent(ours["gap_closed"]), ends=ends, floor=floor))
    return " ".join(parts)


def _short(value: float) -> str:
    return number(value, 2)


def _verdict(ours: pd.Series, mean_face_mm: float) -> str:
    """How DF-MVR stands to the mean face, in words that the interval allows."""
    ratio, low, high = (ours[f"ratio_to_mean_face{end}"] for end in ("", "_low", "_high"))
    kind = "finding_better" if high < 1 else "finding_worse" if low > 1 else "finding_equal"
    return caption(kind, percent=percent(abs(ratio - 1)), mean_face=_short(mean_face_mm))


def learnt_section(report: Report, tables: list[Compared]) -> Section:
    """Which orders of methods that the paper reports are found here, in words and as a table."""
    section = Section("What is learnt", "learnt")
    every = _claims(tables)
    if every.empty:
        return section
    section.paragraphs.append(caption("learnt_what"))
    for comparison, frame, _ in tables:
        for place, part in every[every["table"] == comparison.name].groupby("place", sort=False):
            section.paragraphs.append(
                _learnt(place, part, comparison, frame[frame["dataset"] == part["dataset"].iloc[0]])
            )
    tested = int((every["verdict"] != orders.NOT_RUN).sum())
    single = not any((frame["seeds"] > 1).any() for _, frame, _ in tables)
    section.paragraphs.append(caption("learnt_limits", tested=tested, expected=number(0.05 * tested, 1)))
    section.paragraphs.append(caption("learnt_one_seed" if single else "learnt_seeds"))
    report.table(section, printed.claims_table(every, report.told))
    return section


def _learnt(place: str, claims: pd.DataFrame, comparison: Comparison, frame: pd.DataFrame) -> str:
    """One paragraph: the verdicts on the claims of one table and data set, and the gap to the floor."""
    sizes = claims.dropna(subset="samples")
    size = f"{sizes['samples'].max():.0f}" if len(sizes) else "0"
    parts = [caption("learnt", place=place, count=len(claims), samples=size)]
    for kind, number_of in orders.count_verdicts(claims).items():
        if number_of:
            own = claims[claims["verdict"] == kind]
            parts.append(caption(f"learnt_{kind.replace(' ', '_')}", count=number_of, pairs="; ".join(_pairs(own))))
    ours = frame[(frame["method"] == comparison.ours) & frame["gap_closed"].notna()]
    if len(ours) and not comparison.by_yaw:
        row = ours.iloc[0]
        ends = interval((row["gap_closed_low"], row["gap_closed_high"]), percent)
        parts.append(caption("learnt_gap", method=row["label"], gap=percent(row["gap_closed"]), ends=ends))
    return " ".join(parts)


def _pairs(claims: pd.DataFrame) -> list[str]:
    """Every pair in words, with its difference where there is one; a pair at several yaws once."""
    texts = []
    for _, rows in claims.groupby(["better", "worse"], sort=False):
        row = rows.iloc[0]
        names = {"better": row["better_label"], "worse": row["worse_label"]}
        if row["left_yaw"]:
            yaws = ", ".join(yaw if yaw == RANDOM else f"{yaw}°" for yaw in rows["left_yaw"])
            texts.append(caption("learnt_pair_by_yaw", **names, yaws=yaws))
        elif pd.isna(row["difference_mm"]):
            texts.append(caption("learnt_pair_not_run", **names))
        else:
            ends = interval((row["difference_mm_low"], row["difference_mm_high"]), _signed)
            texts.append(caption("learnt_pair", **names, difference=_signed(row["difference_mm"]), ends=ends))
    return texts


def _signed(value: float) -> str:
    return number(value, 3, signed=True)
