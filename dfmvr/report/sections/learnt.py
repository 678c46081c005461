"""What is learnt, in words: where DF-MVR stands, and which orders of methods that the paper reports are found here."""

from __future__ import annotations

from functools import partial

import pandas as pd

from dfmvr.report.captions import caption
from dfmvr.report.chapter import Chapter, chapter_of
from dfmvr.report.context import Context
from dfmvr.report.tables import orders
from dfmvr.report.tables.comparisons import GAP, RATIO, Compared, compared, ended
from dfmvr.report.tables.orders import tested_claims
from dfmvr.report.tables.printed import claims_table, two
from dfmvr.report.tables.table import interval, number, percent, signed
from dfmvr.study.methods import FLOOR, MEAN_FACE
from dfmvr.study.paper import RANDOM


def findings(context: Context) -> list[str]:
    """Say in a paragraph for each data set what was found, by the first table that has DF-MVR on it."""
    paragraphs: dict[str, str] = {}
    for table in compared(context):
        for dataset, part in table.frame.groupby("dataset", sort=False):
            rows = part[part["samples"] > 0].drop_duplicates("method").set_index("method")
            if dataset not in paragraphs and table.comparison.ours in rows.index and not table.comparison.by_yaw:
                paragraphs[dataset] = _finding(context, table, dataset, rows)
    claims = tested_claims(context)
    return [*paragraphs.values(), *([] if claims.empty else [caption("finding_claims", **_counts(claims))])]


def _counts(claims: pd.DataFrame) -> dict[str, int]:
    """Number of claims of each verdict, for a caption."""
    counts = {kind.replace(" ", "_"): number_of for kind, number_of in orders.count_verdicts(claims).items()}
    return counts | {"count": len(claims)}


def _finding(context: Context, table: Compared, dataset: str, rows: pd.DataFrame) -> str:
    ours = rows.loc[table.comparison.ours]
    facts = {"data": context.name(dataset), "samples": int(ours["samples"]), "subjects": int(ours["subjects"])}
    facts |= {"table": table.comparison.title, "method": ours["label"], "mean": two(ours["mean_mm"])}
    parts = [caption("finding", **facts, ends=interval(ours[ended("mean_mm")], two))]
    if MEAN_FACE in rows.index:
        parts.append(_verdict(ours, rows.loc[MEAN_FACE, "mean_mm"]))
    if pd.notna(ours[GAP]):
        ends, floor = interval(ours[ended(GAP)], percent), two(rows.loc[FLOOR, "mean_mm"])
        parts.append(caption("finding_gap", gap=percent(ours[GAP]), ends=ends, floor=floor))
    return " ".join(parts)


def _verdict(ours: pd.Series, mean_face_mm: float) -> str:
    """How DF-MVR stands to the mean face, in words that the interval allows."""
    ratio, low, high = ours[ended(RATIO)]
    kind = "finding_better" if high < 1 else "finding_worse" if low > 1 else "finding_equal"
    return caption(kind, percent=percent(abs(ratio - 1)), mean_face=two(mean_face_mm))


@chapter_of("What is learnt", "learnt", "score")
def learnt_chapter(context: Context, chapter: Chapter) -> None:
    """Which orders of methods that the paper reports are found here, in words and as a table."""
    every = tested_claims(context)
    if every.empty:
        return
    chapter.say(caption("learnt_what"))
    for table in compared(context):
        for place, claims in every[every["table"] == table.comparison.name].groupby("place", sort=False):
            chapter.say(_learnt(place, claims, table))
    tested = int((every["verdict"] != orders.NOT_RUN).sum())
    several = any((table.frame["seeds"] > 1).any() for table in compared(context))
    chapter.say(caption("learnt_limits", tested=tested, expected=number(0.05 * tested, 1)))
    chapter.say(caption("learnt_seeds" if several else "learnt_one_seed"))
    chapter.table(claims_table(every, context))


def _learnt(place: str, claims: pd.DataFrame, table: Compared) -> str:
    """One paragraph: the verdicts on the claims of one table and data set, and the gap to the floor."""
    sizes = claims.dropna(subset="samples")
    size = f"{sizes['samples'].max():.0f}" if len(sizes) else "0"
    parts = [caption("learnt", place=place, count=len(claims), samples=size)]
    for kind, number_of in orders.count_verdicts(claims).items():
        if number_of:
            own = claims[claims["verdict"] == kind]
            parts.append(caption(f"learnt_{kind.replace(' ', '_')}", count=number_of, pairs="; ".join(_pairs(own))))
    frame = table.frame[table.frame["dataset"] == claims["dataset"].iloc[0]]
    ours = frame[(frame["method"] == table.comparison.ours) & frame[GAP].notna()]
    if len(ours) and not table.comparison.by_yaw:
        row = ours.iloc[0]
        ends = interval(row[ended(GAP)], percent)
        parts.append(caption("learnt_gap", method=row["label"], gap=percent(row[GAP]), ends=ends))
    return " ".join(parts)


def _pairs(claims: pd.DataFrame) -> list[str]:
    """Every pair in words, with its difference where there is one; a pair at several yaws once."""
    texts = []
    for _, rows in claims.groupby(["better", "worse"], sort=False):
        row = rows.iloc[0]
        told = partial(caption, better=row["better_label"], worse=row["worse_label"])
        if row["left_yaw"]:
            yaws = ", ".join(yaw if yaw == RANDOM else f"{yaw}°" for yaw in rows["left_yaw"])
            texts.append(told("learnt_pair_by_yaw", yaws=yaws))
        elif pd.isna(row["difference_mm"]):
            texts.append(told("learnt_pair_not_run"))
        else:
            ends = interval(row[ended("difference_mm")], signed)
            texts.append(told("learnt_pair", difference=signed(row["difference_mm"]), ends=ends))
    return texts
