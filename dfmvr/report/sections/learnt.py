"""What is learnt, in words: where DF-MVR stands, and which orders of methods that the paper reports are found here."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from dfmvr.report.captions import caption, entries
from dfmvr.report.chapter import Chapter, chapter_of
from dfmvr.report.context import Context
from dfmvr.report.sections.reasons import reasons
from dfmvr.report.tables import best_view, orders
from dfmvr.report.tables.comparisons import GAP, RATIO, Compared, compared, ended
from dfmvr.report.tables.orders import tested_claims
from dfmvr.report.tables.printed import best_view_orders_table, best_view_table, claims_table, two
from dfmvr.report.tables.seeds import seed_spread
from dfmvr.report.tables.table import interval, number, percent, signed
from dfmvr.study.methods import FLOOR, MEAN_FACE
from dfmvr.study.paper import RANDOM, Claim, paper_claims


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


def _counts(every: pd.DataFrame) -> dict[str, int]:
    """Numbers of orders of the tables' means and of claims, by verdict, for a caption."""
    printed = every[(every["of"] == "mean") & every["paper_difference_mm"].notna()]
    claims = pd.DataFrame({"verdict": [orders.verdict_of_all(rows["verdict"]) for _, rows in _claims(every)]})
    counts = {"count": len(printed), "claims": len(claims)}
    for prefix, frame in (("", printed), ("claims_", claims)):
        counts |= {prefix + kind.replace(" ", "_"): many for kind, many in orders.count_verdicts(frame).items()}
    return counts


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
    """What the paper's claims come to here, in words and as a table."""
    every = tested_claims(context)
    if every.empty:
        return
    chapter.say(caption("learnt_what"))
    tested = int((every["verdict"] != orders.NOT_RUN).sum())
    chapter.say(caption("learnt_limits", tested=tested, expected=number(0.05 * tested, 1)))
    for text in _seeds(context, every):
        chapter.say(text)
    worth, by_rule = best_view.worth_frame(context), best_view.orders_frame(context)
    for claim, rows in _claims(every):
        kind, facts = orders.verdict_of_all(rows["verdict"]), rows.iloc[0]
        size = number(rows["samples"].max(), 0)
        title = caption("verdict_claim", says=claim.says, place=claim.place, data=facts["data"], samples=size)
        lines = [_order(own, worth, by_rule) for _, own in rows.groupby(["better", "worse"], sort=False)]
        chapter.verdict(kind, entries("verdict_words")[kind], title[0].upper() + title[1:], lines)
    chapter.table(claims_table(every, context))


def _claims(every: pd.DataFrame) -> Iterator[tuple[Claim, pd.DataFrame]]:
    """Every claim on every data set that its table is about, with the rows of its orders."""
    for (table, _), rows in every.groupby(["table", "dataset"], sort=False):
        for claim in (claim for claim in paper_claims() if claim.table == table):
            pairs = pd.Series(list(zip(rows["better"], rows["worse"], strict=True)), rows.index)
            own = rows[pairs.isin(list(map(tuple, claim.orders))) & (rows["of"] == claim.of)]
            if len(own):
                yield claim, own


def _seeds(context: Context, every: pd.DataFrame) -> Iterator[str]:
    """What the intervals know of seeds."""
    if not (every["seeds_degrees"] > 0).any():
        yield caption("learnt_one_seed")
        return
    for dataset, rows in every.groupby("dataset", sort=False):
        spread = seed_spread(context, str(dataset), "mean")
        facts = {"data": context.name(str(dataset)), "degrees": spread.degrees, "std": number(spread.std_mm, 4)}
        if (rows["verdict"] != orders.NOT_RUN).any():
            yield caption("learnt_seeds" if spread.degrees else "learnt_without_seeds", **facts)


def _order(rows: pd.DataFrame, worth: pd.DataFrame, by_rule: pd.DataFrame) -> str:
    """One line: an order with its differences, at every yaw where there are several, and the likely reasons."""
    row = rows.iloc[0]
    of = caption("verdict_of_std") if row["of"] == "std" else ""
    name = caption("verdict_order", better=row["better_label"], worse=row["worse_label"], of=of)
    if rows["difference_mm"].isna().all():
        return f"{name}: {caption('verdict_missing')}."
    if row["left_yaw"]:
        yaws = [yaw if yaw == RANDOM else f"{yaw}°" for yaw in rows["left_yaw"]]
        told = [
            caption("verdict_yaw", yaw=yaw, number=_number(own), verdict=own["verdict"])
            for yaw, (_, own) in zip(yaws, rows.iterrows(), strict=True)
        ]
        row = min((own for _, own in rows.iterrows()), key=lambda own: own["verdict"] == orders.FOUND)
    else:
        paper = row["paper_difference_mm"]
        told = [f"{_number(row)}, {row['verdict']}"]
        told += [caption("verdict_paper", paper=signed(paper, 4))] if pd.notna(paper) else []
    return " ".join([f"{name}: {'; '.join(told)}.", *reasons(row, worth, by_rule)])


def _number(row: pd.Series) -> str:
    """The difference with its interval, and with that which counts seeds where it is another."""
    facts = {"difference": signed(row["difference_mm"]), "ends": interval(row[ended("difference_mm")], signed)}
    if row["seeds_degrees"] > 0:
        decided = interval(row[["decided_low", "decided_high"]], signed)
        return caption("verdict_number_seeds", **facts, decided=decided)
    return caption("verdict_number", **facts)


@chapter_of("What a choice of views is worth", "best_view", "score")
def best_view_chapter(context: Context, chapter: Chapter) -> None:
    """The best of three answers beside rules that need no scan, and the paper's orders by each."""
    frame = best_view.worth_frame(context)
    if not frame.empty:
        chapter.table(best_view_table(frame))
        by_rule = best_view.orders_frame(context)
        if not by_rule.empty:
            chapter.table(best_view_orders_table(by_rule))
