"""`dfmvr report --check`: compute every number of the tables anew and compare it with the files.

needs   <tables>/*.csv, <tables>/made.json   what `dfmvr report` has written
        the results that they were made from
gives   nothing; an error with the first differences where a number is another

It reads and computes by itself; shared is only what the methods and the paper's tables are (`dfmvr.study`). Left out
are run times, since the files that they come from change with every run of the workflow, this stage's included, and
what is measured on meshes and photographs.
"""

from __future__ import annotations

import json
import logging
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from dfmvr.conventions import VIEWS
from dfmvr.errors import DataError
from dfmvr.study.methods import FLOOR, MEAN_FACE, OURS, TestedMethod, read_key
from dfmvr.study.paper import COMPARISONS, RANDOM, Comparison

log = logging.getLogger(__name__)

MADE = "made.json"
MADE_KEYS = ("bootstrap", "seed", "statistics", "scores", "trainings", "datasets", "loss_weights")
"""What the tables were made from: settings of the intervals, score files, trainings, data sets, weights of losses."""

NOT_CHECKED = ("runtimes", "causes", "agreement")
"""First words of the names of tables that are left out."""

KEYS = {
    **{c.name: ("dataset", "left_yaw", "method") if c.by_yaw else ("dataset", "method") for c in COMPARISONS},
    "claims": ("table", "dataset", "left_yaw", "better", "worse"),
    **dict.fromkeys(("regions", "correspondence"), ("dataset", "method")),
    **dict.fromkeys(("protocols", "rankings"), ("dataset", "protocol", "method")),
    **{"sensitivity": ("loss", "method"), "real_scan": ("protocol", "method"), "losses": ("method",)},
    **{"samples": ("dataset", "step"), "set_aside": ("dataset", "step", "sample")},
    **{"parser": ("images",), "population": ("measure",), "held_out": ("heads",)},
}
"""Columns that tell the rows of each table apart."""

TOLERANCE = 1e-9  # relative and absolute
SHOWN = 5

Row = dict[str, Any]
Rows = dict[tuple[str, ...], Row]


def check_tables(tables: Path, results: Path) -> None:
    """Compare every table in a folder with what the results give.

    Raises:
        DataError: a number is another, a row or table is missing or too much (the first are told), or a file is
            missing or unreadable.
    """
    made = _opened(tables / MADE, _json)
    if missing := [key for key in MADE_KEYS if key not in made]:
        raise DataError(f"{tables / MADE}: expected {', '.join(MADE_KEYS)}, of which it lacks {', '.join(missing)}")
    expected = {name: rows for name, rows in (_of_results(results, made) | _of_the_run(results, made)).items() if rows}
    every = {path.stem: path for path in sorted(tables.glob("*.csv"))}
    found = {name: path for name, path in every.items() if name.partition("_")[0] not in NOT_CHECKED}
    lost = [name for name in expected if name not in found]
    problems = [f"{tables / name}.csv: no such table, but the results give it" for name in lost]
    compared = 0
    for path in found.values():
        count, differences = _compare(path, expected.get(path.stem, {}))
        compared, problems = compared + count, problems + differences
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise DataError(f"{'; '.join(problems[:SHOWN])}{more}; run `dfmvr report` again")
    log.info("%s: %d numbers in %d tables are those that %s gives", tables, compared, len(found), results)
    if left_out := sorted(set(every) - set(found)):
        log.info("not checked: %s", ", ".join(left_out))


def _json(path: Path) -> Row:
    return json.loads(path.read_text(encoding="utf-8"))


def _opened(path: Path, read: Callable[[Path], Any]) -> Any:
    """What a file holds, or an error that names it."""
    try:
        return read(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run the stage that makes it") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable table ({' '.join(str(error).split())})") from error


def _compare(path: Path, expected: Rows) -> tuple[int, list[str]]:
    """Number of cells compared, and the differences of one table in words."""
    first = path.stem.partition("_")[0]
    keys = KEYS.get(first if first in ("losses", "sensitivity") else path.stem)
    if keys is None:
        return 0, [f"{path}: the results give no such table"]
    text = dict.fromkeys(keys, str)
    table = _opened(path, partial(pd.read_csv, dtype=text, keep_default_na=False, na_values=[""])).fillna(
        dict.fromkeys(keys, "")
    )
    problems, compared, seen = [], 0, set()
    for row in table.to_dict("records"):
        key = tuple(row.pop(name, "") for name in keys)
        place = f"{path.name}, {' '.join(filter(None, key))}"
        if key in seen or key not in expected:
            problems.append(f"{place}: twice" if key in seen else f"{place}: a row that the results do not give")
            continue
        seen.add(key)
        for column, value in row.items():
            if column in expected[key] or isinstance(value, int | float):
                compared += 1
                wanted = expected[key].get(column, math.nan)
                if not _same(value, wanted):
                    problems.append(f"{place}, {column}: expected {wanted}, found {value}")
    lost = [" ".join(filter(None, key)) for key in expected if key not in seen]
    return compared, problems + [f"{path.name}, {place}: no such row" for place in lost]


def _same(found: Any, wanted: Any) -> bool:
    """Whether a cell is what it should be; an empty one stands for NaN and for no text."""
    if isinstance(wanted, str) or isinstance(found, str):
        return str(found) == str(wanted) or (found != found and wanted == "")
    return bool(np.isclose(found, wanted, TOLERANCE, TOLERANCE, equal_nan=True))


class Paired:
    """Errors of several methods on the samples of one data set that all of them have, and resamples of its subjects."""

    def __init__(self, scores: pd.DataFrame, made: Row, column: str, methods: Collection[str] | None = None) -> None:
        """Take the errors in a column of the scores; `methods` are those that are compared, None: all."""
        wide = scores.pivot_table(index=["subject", "sample"], columns="method", values=column, aggfunc="first")
        tested = list(map(read_key, wide))
        columns = {(m.first.key, m.seed): wide[m.key] for m in tested}
        for variant, seed in {(m.variant, m.seed) for m in tested if m.variant.one_view}:
            of_views = [(TestedMethod(variant, view=view).key, seed) for view in VIEWS]
            if set(of_views) <= set(columns):
                views = [columns.pop(key) for key in of_views]
                columns[f"{variant.key}_best", seed] = np.minimum.reduce(views)
                columns[f"{variant.key}_mean", seed] = sum(views) / len(views)
        chosen = {key: errors for key, errors in columns.items() if methods is None or key[0] in methods}
        every = pd.DataFrame(chosen, index=wide.index).dropna() if chosen else wide.iloc[:0, :0]
        self.errors = every.T.groupby(level=0).mean().T if len(every) else every
        if self.errors.empty:
            return
        people, place = np.unique(every.index.get_level_values("subject"), return_inverse=True)
        trainings, count = every.mean().groupby(level=0), len(people)
        self.of_method = pd.DataFrame({"seeds": trainings.size(), "seed_std_mm": trainings.std()})
        self.of_method["samples"], self.of_method["subjects"] = len(every), count
        rng = np.random.default_rng([made["seed"], zlib.crc32(scores["dataset"].iloc[0].encode())])
        often = rng.multinomial(count, [1 / count] * count, made["bootstrap"])[:, place]
        means = often @ self.errors.to_numpy() / often.sum(1)[:, None]
        self.resampled = pd.DataFrame(means if count > 1 else means * math.nan, columns=self.errors.columns)
        self.tail = norm.cdf(math.sqrt(count / (count - 1)) * t.ppf(0.025, count - 1)) if count > 1 else 0.0

    def three(self, name: str, statistic: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
        """A statistic of the methods' means with its interval; the rows are methods."""
        ends = statistic(self.resampled).quantile([self.tail, 1 - self.tail])
        value = statistic(self.errors.mean().to_frame().T)
        return pd.concat([value, ends]).set_axis([name, f"{name}_low", f"{name}_high"]).T

    def rows(self, name: str, ours: str = OURS) -> dict[str, Row]:
        """All numbers of every method; `name` is that of the mean error."""
        if self.errors.empty:
            return {}
        std = self.errors.std()
        parts = [self.of_method, self.three(name, lambda e: e), std.rename("std_mm"), std.rename(f"{name}_std")]
        if MEAN_FACE in self.errors:
            ratio = self.three("ratio_to_mean_face", lambda e: e.div(e[MEAN_FACE], axis=0))
            parts.append(ratio.drop(index=MEAN_FACE))
        if ours in self.errors:
            parts.append(self.three("difference", lambda e: e.sub(e[ours], axis=0)))
            parts.append(parts[-1].drop(index=ours).rename(columns=lambda n: n.replace("ce", "ce_to_dfmvr_mm")))
        if {MEAN_FACE, FLOOR} <= set(self.errors):
            gap = self.three("gap_closed", lambda e: e.rsub(e[MEAN_FACE], axis=0).div(e[MEAN_FACE] - e[FLOOR], axis=0))
            parts.append(gap.drop(index=[MEAN_FACE, FLOOR]))
        return pd.concat(parts, axis=1).to_dict("index")


def _of_results(results: Path, made: Row) -> dict[str, Rows]:
    """The tables of results, from the scores."""
    scores = pd.concat([_opened(results / name, pd.read_parquet) for name in made["scores"]], ignore_index=True)
    tested = {read_key(name).first for name in scores["method"]}
    weights = {method.key: method.variant.weight for method in tested if method.variant.weight}
    scores = scores[scores["status"] == "ok"]
    tables: dict[str, Rows] = defaultdict(dict)
    regions = set()
    for (dataset, protocol, region), part in scores.groupby(["dataset", "protocol", "region"], sort=False):
        both = [Paired(part, made, name).rows(name) for name in ("rmse_mm", "mean_mm")]
        for m in both[0]:
            row = both[1][m] | both[0][m]
            if region == "all":
                tables["protocols"][dataset, protocol, m] = row
            if protocol == "paper":
                regions.add(region)
                tables["regions"].setdefault((dataset, m), {}).update({f"{region}_{n}": v for n, v in row.items()})
    if len(regions) < 2:
        del tables["regions"]
    whole = dict(iter(scores[(scores["protocol"] == "paper") & (scores["region"] == "all")].groupby("dataset")))
    for dataset, part in whole.items():
        tables["rankings"] |= _rankings(tables["protocols"], dataset, made["statistics"])
        if "correspondence_mm" in part:
            rows = Paired(part, made, "correspondence_mm").rows("correspondence_mm")
            tables["correspondence"] |= {(dataset, m): row for m, row in rows.items()}
        rows = Paired(part, made, "rmse_mm", [*weights, OURS]).rows("mean") if weights else {}
        weighed = {(weights[m][0], m): weights[m][1] for m in rows if m != OURS}
        weighed |= {(loss, OURS): made["loss_weights"][loss] for loss, _ in weighed if OURS in rows}
        tables[f"sensitivity_{dataset}"] = {key: rows[key[1]] | {"weight": w} for key, w in weighed.items()}
    for comparison in COMPARISONS:
        if comparison.is_of({method.key for method in tested}):
            _comparison(tables, comparison, whole, results, made)
    return tables


def _rankings(protocols: Rows, dataset: str, statistics: dict[str, str]) -> Rows:
    """Rank of every method but the floor under every protocol, and how the order agrees with the default one's."""
    rows = [(p, m, row[statistics[p]]) for (d, p, m), row in protocols.items() if d == dataset and m != FLOOR]
    errors = pd.DataFrame(rows, columns=["p", "m", "e"]).pivot(index="m", columns="p", values="e").dropna()
    if len(errors) < 2 or "paper" not in errors or errors.shape[1] < 2:
        return {}
    ranks, tau = errors.rank(method="min"), errors.corr("kendall")["paper"]
    cells = [(p, m) for p in errors for m in errors.index]
    return {
        (dataset, p, m): {"error_mm": errors.loc[m, p], "rank": ranks.loc[m, p], "kendall_tau": tau[p]}
        for p, m in cells
    }


def _comparison(
    tables: dict[str, Rows], comparison: Comparison, whole: dict[str, pd.DataFrame], results: Path, made: Row
) -> None:
    """Add a table of the paper and the orders that it reports."""
    first, claims = "", {}
    for dataset in (name for name in comparison.datasets if name in whole):
        for yaw, paired in _by_yaw(comparison, whole[dataset], results / "align" / dataset / "manifest.parquet", made):
            first, found = first or dataset, paired.rows("mean_mm", comparison.ours)
            for m, row in comparison.rows.items():
                beside = row.printed if dataset == first else {}
                if m in found or beside or m in (MEAN_FACE, FLOOR):
                    printed = {"paper_mean_mm": beside.get(yaw or "mean"), "paper_std_mm": beside.get("std")}
                    design = {key: row.printed.get(key, "") for key in comparison.design}
                    key = (dataset, yaw, m) if comparison.by_yaw else (dataset, m)
                    tables[comparison.name][key] = found.get(m, {}) | design | {n: v for n, v in printed.items() if v}
            for pair in comparison.claims:
                better, worse = (comparison.rows[m].printed.get(yaw or "mean", math.nan) for m in pair)
                claim = {"paper_difference_mm": better - worse, "verdict": "not run"}
                if set(pair) <= set(found):
                    apart = paired.three("difference_mm", lambda e, worse=pair[1]: e.sub(e[worse], axis=0))
                    claim |= found[pair[0]] | apart.loc[pair[0]].to_dict()
                    below, above = claim["difference_mm_high"] < 0, claim["difference_mm_low"] > 0
                    claim["verdict"] = "found" if below else "contradicted" if above else "undecided"
                claims[comparison.name, dataset, yaw, *pair] = claim
    if any(claim["verdict"] != "not run" for claim in claims.values()):
        tables["claims"] |= claims


def _by_yaw(comparison: Comparison, scores: pd.DataFrame, manifest: Path, made: Row) -> Iterator[tuple[str, Paired]]:
    """The parts of a comparison, by yaw of the left view where it has columns of yaws."""
    views = _opened(manifest, pd.read_parquet)
    yaws = scores["sample"].map(views[views["view"] == "left"].set_index("sample")["yaw"].abs())
    if comparison.left_yaw is not None:
        scores = scores[yaws == abs(comparison.left_yaw)]
    parts = {"": scores}
    if comparison.by_yaw:
        common = Paired(scores, made, "rmse_mm", comparison.rows).errors.index.get_level_values("sample")
        scores = scores.assign(yaw=yaws)[yaws.notna() & scores["sample"].isin(common)]
        every = sorted(scores["yaw"].unique())
        people = [p for p, of_one in scores.groupby("subject") if set(of_one["yaw"]) == set(every)]
        scores = scores[scores["subject"].isin(people)]
        parts = {f"{yaw:g}": scores[scores["yaw"] == yaw] for yaw in every}
        if len(every) > 1 and people:
            drawn = np.random.default_rng(made["seed"]).integers(len(every), size=len(people))
            of_subject = {p: every[i] for p, i in zip(people, drawn, strict=True)}
            parts[RANDOM] = scores[scores["yaw"] == scores["subject"].map(of_subject)]
    for name, part in parts.items():
        paired = Paired(part, made, "rmse_mm", comparison.rows)
        if not paired.errors.empty:
            yield name, paired


def _of_the_run(results: Path, made: Row) -> dict[str, Rows]:
    """The tables about the run itself, from the files of its stages."""
    tables: dict[str, Rows] = defaultdict(dict)
    for dataset in made["datasets"]:
        for step, row, aside in _steps(dataset, results, made["scores"]):
            tables["samples"][dataset, step] = row
            tables["set_aside"] |= {(dataset, step, sample): {"reason": why} for sample, why in aside.items()}
    for name, method in made["trainings"].items():
        steps = _opened(results / "train" / name / "metrics.csv", pd.read_csv)
        last = steps[steps["epoch"] == steps["epoch"].max()].mean().to_dict()
        table = tables["losses" if method == "df_mvr" else f"losses_{method}"]
        table[(name,)] = last | {"epochs": steps["epoch"].max() + 1, "steps": len(steps)}
    if (path := results / "parse" / "metrics.json").exists():
        parser = _opened(path, _json)
        kinds = {"photographs": parser, "black background": parser.get("black_background")}
        tables["parser"] = {(kind,): found for kind, found in kinds.items() if found}
    if (path := results / "face_model" / "summary.json").exists():
        model = _opened(path, _json)
        measures = (model.get("population_mm") or {}).items()
        tables["population"] = {(name,): {"mean_mm": mean, "std_mm": std} for name, (mean, std) in measures}
        tables["held_out"] = {(heads,): found for heads, found in (model.get("held_out_rms_mm") or {}).items()}
    for method in {Path(name).parent.name for name in made["scores"]}:
        if (path := results / "score" / method / "real_scan.json").exists():
            protocols = _opened(path, _json)["protocols"].items()
            tables["real_scan"] |= {(protocol, method): found for protocol, found in protocols}
    return tables


def _steps(dataset: str, results: Path, scores: list[str]) -> Iterator[tuple[str, Row, dict[str, str]]]:
    """Every step of a data set: its name, the counts, and the samples set aside with the reasons."""

    def counted(rows: pd.DataFrame) -> tuple[Row, dict[str, str]]:
        failed = rows[rows["status"] != "ok"].drop_duplicates("sample").set_index("sample")["reason"].to_dict()
        every = rows["sample"].nunique()
        return {"samples": every, "kept": every - len(failed), "set_aside": len(failed)}, failed

    manifest = _opened(results / "align" / dataset / "manifest.parquet", pd.read_parquet)
    for split, rows in manifest.groupby("split", sort=False):
        yield f"align, {split}", *counted(rows)
    unaligned = set(manifest.loc[manifest["status"] != "ok", "sample"])
    for path in (results / name for name in scores if Path(name).stem == dataset):
        table = _opened(path, pd.read_parquet)
        table = table[(table["protocol"] == "paper") & (table["region"] == "all") & ~table["sample"].isin(unaligned)]
        row, failed = counted(table)
        row["coverage"] = table["coverage"].mean()
        registered = results / "register" / path.parent.name / f"{dataset}.npz"
        if registered.exists():
            with _opened(registered, np.load) as arrays:
                row["not_converged"] = int(np.sum((arrays["status"] == "ok") & ~arrays["converged"]))
        name = read_key(path.parent.name).name.replace("_{", "_").replace("}", "")
        yield f"score, {name}", row, failed
