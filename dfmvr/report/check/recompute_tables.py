"""The tables of results once more, from the scores, for `dfmvr.report.check`.

Which methods, data and pairs a table has is read from `dfmvr.study.paper`; how a number is computed is
not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from dfmvr.report.check.recompute import Paired, Rows, Scores, method_and_seed
from dfmvr.study.paper import COMPARISONS, DESIGN, Comparison

KEYS = {
    **{c.name: ("dataset", "left_yaw", "method") if c.by_yaw else ("dataset", "method") for c in COMPARISONS},
    "claims": ("table", "dataset", "left_yaw", "better", "worse"),
    "regions": ("dataset", "method"),
    "protocols": ("dataset", "protocol", "method"),
    "rankings": ("dataset", "protocol", "method"),
    "sensitivity": ("loss", "method"),
    "correspondence": ("dataset", "method"),
}
"""Columns that tell the rows of each table apart."""


class Recomputed:
    """Every table of results; `rows` maps names of tables to their rows."""

    def __init__(self, scores: Scores, made: dict[str, Any]) -> None:
        """Compute everything; `made` is what `check.made_from` gave."""
        self.scores, self.resamples, self.seed = scores, made["bootstrap"], made["seed"]
        self.statistics, self.loss_weights = made["statistics"], made["loss_weights"]
        self.rows: dict[str, Rows] = {}
        tested = {method_and_seed(name)[0] for name in scores.names}
        for comparison in COMPARISONS:
            if set(comparison.datasets) & set(scores.datasets) and comparison.is_of(tested):
                self._comparison(comparison)
        self._regions()
        self._protocols()
        self._rankings()
        self._sensitivity(tested)
        self._correspondence()
        self.rows = {name: rows for name, rows in self.rows.items() if rows}
        claims = self.rows.get("claims", {})
        for table in {key[0] for key in claims}:
            if all(row["verdict"] == "not run" for key, row in claims.items() if key[0] == table):
                claims = {key: row for key, row in claims.items() if key[0] != table}
        self.rows = {**self.rows, "claims": claims} if claims else {n: r for n, r in self.rows.items() if n != "claims"}

    def _blocks(self, comparison: Comparison) -> Iterator[tuple[str, Paired]]:
        """The yaw and the errors of each part of a comparison."""
        methods = list(comparison.rows)
        for dataset in comparison.datasets:
            yaw = {s: y for (d, s), y in self.scores.yaw.items() if d == dataset}
            side = comparison.left_yaw
            place = (dataset, "paper", "all")
            paired = self.scores.paired(
                place, 0, methods, lambda s, yaw=yaw, side=side: side is None or yaw.get(s) == side
            )
            if not comparison.by_yaw:
                choices = {"": set(paired.samples)}
            else:
                choices = self._yaws(paired, {s: abs(y) for s, y in yaw.items() if not math.isnan(y)})
            for name, samples in choices.items():
                part = self.scores.paired(place, 0, methods, samples.__contains__)
                if part.samples:
                    part.resample(self.resamples, self.seed)
                    yield name, part

    def _yaws(self, paired: Paired, yaw: dict[str, float]) -> dict[str, set[str]]:
        """Samples of each yaw of the left view, of the subjects that have them all, and of yaws drawn at random."""
        known = [(subject, s) for subject, s in zip(paired.subjects, paired.samples, strict=True) if s in yaw]
        yaws = sorted({yaw[s] for _, s in known})
        subjects = [p for p in sorted(set(paired.subjects)) if {yaw[s] for q, s in known if q == p} == set(yaws)]
        found = {f"{y:g}": {s for p, s in known if p in subjects and yaw[s] == y} for y in yaws}
        if len(yaws) > 1 and subjects:
            places = np.random.default_rng(self.seed).integers(len(yaws), size=len(subjects))
            drawn = {p: yaws[place] for p, place in zip(subjects, places, strict=True)}
            found["random"] = {s for p, s in known if p in subjects and yaw[s] == drawn[p]}
        return found

    def _comparison(self, comparison: Comparison) -> None:
        first = None
        for yaw, paired in self._blocks(comparison):
            first = first or paired.dataset
            at = (yaw,) if comparison.by_yaw else ()
            for method, row in comparison.rows.items():
                paper = row.printed
                beside = paper if paired.dataset == first else {}
                if method not in paired.errors and not beside and method not in ("mean_face", "floor"):
                    continue
                numbers = {
                    f"paper_{n}_mm": beside.get(k, math.nan) for n, k in (("mean", yaw or "mean"), ("std", "std"))
                }
                numbers |= {key: paper.get(key, "") for key in DESIGN}
                numbers |= self._row(paired, method, comparison.ours) if method in paired.errors else {}
                self.rows.setdefault(comparison.name, {})[(paired.dataset, *at, method)] = numbers
            for better, worse in comparison.claims:
                key = (comparison.name, paired.dataset, yaw, better, worse)
                self.rows.setdefault("claims", {})[key] = self._claim(comparison, paired, yaw, better, worse)

    def _row(self, paired: Paired, method: str, ours: str) -> dict[str, Any]:
        """The numbers of a method beside those of the others."""
        there = paired.errors
        row = {"samples": len(paired.samples), "subjects": len(set(paired.subjects))}
        row |= {
            "seeds": len(paired.of_seed[method]),
            "std_mm": paired.std(method),
            "seed_std_mm": paired.seed_std(method),
        }
        row |= paired.three("mean_mm", lambda m: m, method)
        if "mean_face" in there and method != "mean_face":
            row |= paired.three("ratio_to_mean_face", lambda m, top: m / top, method, "mean_face")
        if ours in there and method != ours:
            row |= paired.three("difference_to_dfmvr_mm", lambda m, o: m - o, method, ours)
        if {"mean_face", "floor"} <= set(there) and method not in ("mean_face", "floor"):
            row |= paired.three("gap_closed", lambda m, a, b: (a - m) / (a - b), method, "mean_face", "floor")
        return row

    def _claim(self, comparison: Comparison, paired: Paired, yaw: str, better: str, worse: str) -> dict[str, Any]:
        paper = [comparison.rows[m].printed.get(yaw or "mean", math.nan) for m in (better, worse)]
        found: dict[str, Any] = {"paper_difference_mm": paper[0] - paper[1], "verdict": "not run"}
        if {better, worse} <= set(paired.errors):
            found |= {"samples": len(paired.samples), "subjects": len(set(paired.subjects))}
            found |= paired.three("difference_mm", lambda a, b: a - b, better, worse)
            decided = "found" if found["difference_mm_high"] < 0 else "contradicted"
            unsure = not (found["difference_mm_high"] < 0 or found["difference_mm_low"] > 0)
            found["verdict"] = "undecided" if unsure else decided
        return found

    def _by_group(self, dataset: str, protocol: str, region: str) -> dict[str, dict[str, Any]]:
        """Both statistics of every method in one place; nothing where no sample is common."""
        found: dict[str, dict[str, Any]] = {}
        for statistic, name in enumerate(("rmse_mm", "mean_mm")):
            paired = self.scores.paired((dataset, protocol, region), statistic)
            if not paired.samples:
                return {}
            paired.resample(self.resamples, self.seed)
            for method in paired.errors:
                row = found.setdefault(method, {"samples": len(paired.samples), "subjects": len(set(paired.subjects))})
                row |= paired.three(name, lambda m: m, method) | {f"{name}_std": paired.std(method)}
        return found

    def _regions(self) -> None:
        groups = {(d, r): self._by_group(d, "paper", r) for d in self.scores.datasets for r in self.scores.regions}
        if len({region for (_, region), found in groups.items() if found}) < 2:
            return
        for (dataset, region), found in groups.items():
            for method, row in found.items():
                place = self.rows.setdefault("regions", {}).setdefault((dataset, method), {})
                place |= {f"{region}_{n}": row[n] for n in ("rmse_mm", "rmse_mm_low", "rmse_mm_high", "samples")}

    def _protocols(self) -> None:
        for dataset in self.scores.datasets:
            for protocol in self.scores.protocols:
                for method, row in self._by_group(dataset, protocol, "all").items():
                    self.rows.setdefault("protocols", {})[dataset, protocol, method] = row

    def _correspondence(self) -> None:
        for dataset in self.scores.datasets:
            paired = self.scores.paired((dataset, "paper", "all"), 2)
            if not paired.samples:
                continue
            paired.resample(self.resamples, self.seed)
            for method in paired.errors:
                row = {"samples": len(paired.samples), "subjects": len(set(paired.subjects))}
                row |= paired.three("correspondence_mm", lambda m: m, method)
                if "mean_face" in paired.errors and method != "mean_face":
                    row |= paired.three("ratio_to_mean_face", lambda m, top: m / top, method, "mean_face")
                self.rows.setdefault("correspondence", {})[dataset, method] = row

    def _rankings(self) -> None:
        every = self.rows.get("protocols", {})
        for dataset in self.scores.datasets:
            protocols = [p for p in self.scores.protocols if any(key[:2] == (dataset, p) for key in every)]
            error = {
                p: {m: row[self.statistics[p]] for (d, q, m), row in every.items() if (d, q) == (dataset, p)}
                for p in protocols
            }
            methods = [m for m in set.intersection(*map(set, error.values())) if m != "floor"] if error else []
            if len(methods) < 2 or len(protocols) < 2 or "paper" not in protocols:
                continue
            for p in protocols:
                tau = _kendall([error["paper"][m] for m in methods], [error[p][m] for m in methods])
                for m in methods:
                    rank = 1 + sum(error[p][other] < error[p][m] for other in methods)
                    row = {"error_mm": error[p][m], "rank": rank, "kendall_tau": tau}
                    self.rows.setdefault("rankings", {})[dataset, p, m] = row

    def _sensitivity(self, tested: set[str]) -> None:
        """Tables of the loss weights, one a data set."""
        found = {name: re.fullmatch(r"dfmvr_(photo|mask)_([0-9]+)[._]?([0-9]*)", name) for name in tested}
        weights = {name: (m[1], float(f"{m[2]}.{m[3] or 0}")) for name, m in found.items() if m}
        for dataset in self.scores.datasets if weights else []:
            paired = self.scores.paired((dataset, "paper", "all"), 0, [*weights, "dfmvr"])
            if not paired.samples or "dfmvr" not in paired.errors or len(paired.errors) < 2:
                continue
            paired.resample(self.resamples, self.seed)
            there = [(name, *weights[name]) for name in paired.errors if name != "dfmvr"]
            there += [("dfmvr", loss, self.loss_weights[loss]) for loss in {loss for _, loss, _ in there}]
            for name, loss, weight in there:
                row = {"weight": weight, "seeds": len(paired.of_seed[name]), **paired.three("mean", lambda m: m, name)}
                row |= paired.three("difference", lambda m, o: m - o, name, "dfmvr")
                self.rows.setdefault(f"sensitivity_{dataset}", {})[loss, name] = row


def _kendall(first: list[float], second: list[float]) -> float:
    """Kendall's tau-b by counting pairs."""
    agree = ties_first = ties_second = 0
    pairs = [(i, j) for i in range(len(first)) for j in range(i)]
    for i, j in pairs:
        a, b = np.sign(first[i] - first[j]), np.sign(second[i] - second[j])
        agree += a * b
        ties_first += a == 0
        ties_second += b == 0
    below = math.sqrt((len(pairs) - ties_first) * (len(pairs) - ties_second))
    return float(agree / below) if below else math.nan
