"""Every number of the tables once more, from what the stages left; see `dfmvr.report.check.compare`."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from dfmvr.datasets.sample import RANDOM_LIGHT
from dfmvr.report.check.claims import ClaimCheck
from dfmvr.report.check.curves import law_of
from dfmvr.report.check.paired import Paired, Row, Rows, opened, read_plain
from dfmvr.study.methods import FLOOR, MEAN_FACE, OURS, read_key
from dfmvr.study.paper import COMPARISONS, HEADLINES, INFERENCE_MS, RANDOM, Comparison, paper_numbers


class Recomputed:
    """All tables, by their names: `tables`."""

    def __init__(self, results: Path, made: Row) -> None:
        """Compute everything; `made` is what made.json holds."""
        self.results, self.made = results, made
        self.tables: dict[str, Rows] = defaultdict(dict)
        read = [opened(results / name, pd.read_parquet) for name in made["scores"]]
        manifests = [(name, results / "align" / name / "manifest.parquet") for name in made["datasets"]]
        self.manifests = {name: opened(path, pd.read_parquet) for name, path in manifests}
        self.scores = pd.concat(read, ignore_index=True)
        tested = {read_key(name).first for name in self.scores["method"]}
        scores = self.scores[self.scores["status"] == "ok"]
        self._regions_and_protocols(scores)
        whole = scores[(scores["protocol"] == "paper") & (scores["region"] == "all")]
        self.whole = dict(iter(whole.groupby("dataset")))
        for dataset, part in self.whole.items():
            self._rankings(dataset)
            if "correspondence_mm" in part:
                rows = Paired(part, made, "correspondence_mm").rows("correspondence_mm")
                self.tables["correspondence"] |= {(dataset, m): row for m, row in rows.items()}
            self._sensitivity(dataset, {m.key: m.variant.weight for m in tested if m.variant.weight})
        self._claims = ClaimCheck(self.whole, made)
        for comparison in COMPARISONS:
            if comparison.is_of({method.key for method in tested}):
                self._comparison(comparison)
        self._curves()
        self._headlines()
        self._steps()
        self._files()

    def _regions_and_protocols(self, scores: pd.DataFrame) -> None:
        regions = set()
        for (dataset, protocol, region), part in scores.groupby(["dataset", "protocol", "region"], sort=False):
            rmse, mean = (Paired(part, self.made, name).rows(name) for name in ("rmse_mm", "mean_mm"))
            for m in rmse:
                row = mean[m] | rmse[m]
                if region == "all":
                    self.tables["protocols"][dataset, protocol, m] = row
                if protocol == "paper":
                    regions.add(region)
                    named = {f"{region}_{name}": value for name, value in row.items()}
                    self.tables["regions"].setdefault((dataset, m), {}).update(named)
        if len(regions) < 2:
            del self.tables["regions"]

    def _rankings(self, dataset: str) -> None:
        """Rank of every method but the floor under every protocol, and how the order agrees with the default one's."""
        protocols, column = self.tables["protocols"].items(), self.made["statistics"]
        rows = [(p, m, row[column[p]]) for (d, p, m), row in protocols if d == dataset and m != FLOOR]
        errors = pd.DataFrame(rows, columns=["p", "m", "e"]).pivot(index="m", columns="p", values="e").dropna()
        if len(errors) < 2 or "paper" not in errors or errors.shape[1] < 2:
            return
        ranks, tau = errors.rank(method="min"), errors.corr("kendall")["paper"]
        for p, m in ((p, m) for p in errors for m in errors.index):
            row = {"error_mm": errors.loc[m, p], "rank": ranks.loc[m, p], "kendall_tau": tau[p]}
            self.tables["rankings"][dataset, p, m] = row

    def _sensitivity(self, dataset: str, weights: dict[str, tuple[str, float]]) -> None:
        rows = Paired(self.whole[dataset], self.made, methods=[*weights, OURS]).rows("mean")
        weighed = {(weights[m][0], m): weights[m][1] for m in rows if m != OURS and OURS in rows}
        weighed |= {(loss, OURS): self.made["loss_weights"][loss] for loss, _ in weighed}
        self.tables[f"sensitivity_{dataset}"] = {key: rows[key[1]] | {"weight": w} for key, w in weighed.items()}

    def _comparison(self, comparison: Comparison) -> None:
        """A table of the paper and the orders that it reports."""
        claims: Rows = {}
        datasets = [name for name in comparison.datasets if name in self.whole]
        blocks = [(dataset, *block) for dataset in datasets for block in self._by_yaw(comparison, dataset)]
        for dataset, yaw, paired in blocks:
            found = paired.rows("mean_mm", comparison.ours)
            for m, row in comparison.rows.items():
                beside = row.printed if dataset == blocks[0][0] else {}
                if m in found or beside or m in (MEAN_FACE, FLOOR):
                    numbers = found.get(m, {}) | {key: row.design.get(key, "") for key in comparison.design}
                    numbers |= {"paper_mean_mm": beside.get(yaw or "mean", math.nan)}
                    key = (dataset, yaw, m) if comparison.by_yaw else (dataset, m)
                    self.tables[comparison.name][key] = numbers | {"paper_std_mm": beside.get("std", math.nan)}
            gaps = {method: row.get("gap_closed", math.nan) for method, row in found.items()}
            claims |= self._claims.of_table(comparison, yaw, paired, gaps)
            if not comparison.by_yaw:
                worth, orders = self._claims.best_views(comparison, paired)
                self.tables["best_view"] = worth | self.tables["best_view"]
                self.tables["best_view_orders"] |= orders
        if any(claim["verdict"] != "not run" for claim in claims.values()):
            self.tables["claims"] |= claims

    def _curves(self) -> None:
        """Errors after trainings of several lengths, and the law through them, whose fit alone is not made anew."""
        for curve, trainings in self.made["curves"].items():
            paths = {name: self.results / "train" / name / "metrics.csv" for name in trainings}
            steps = {name: opened(path, pd.read_csv)["step"].max() + 1 for name, path in paths.items()}
            for dataset, scores in self.whole.items():
                paired = Paired(scores, self.made, methods=[MEAN_FACE, FLOOR, *trainings])
                lengths = {name: many for name, many in steps.items() if name in paired.errors}
                if len(set(lengths.values())) < 2:
                    continue
                rows = paired.rows("mean_mm")
                points = {(dataset, curve, name): rows[name] | {"steps": many} for name, many in lengths.items()}
                self.tables["learning_curve"] |= points
                if law := law_of(curve, paired, lengths):
                    self.tables["learning_curve_fit"][dataset, curve] = law

    def _headlines(self) -> None:
        """By how many percent DF-MVR is better than the best of others, and the time to a face."""
        for headline in HEADLINES:
            comparison, (ours, *others) = headline.comparison, headline.methods
            if comparison.name not in self.tables:
                continue
            printed = [comparison.rows[m].printed["mean"] for m in (ours, *others)]
            row = {"paper": headline.printed, "paper_means": 100 * (1 - printed[0] / min(printed[1:]))}
            for dataset in set(comparison.datasets) & set(self.whole):
                for _, paired in self._by_yaw(comparison, dataset):
                    if {ours, *others} <= set(paired.errors):
                        better = paired.three(
                            "ours", lambda e, m=ours, o=others: (100 - 100 * e[m] / e[o].min(axis=1)).to_frame("x")
                        )
                        size = paired.of_method.loc[ours, ["samples", "subjects"]].to_dict()
                        found = row | better.loc["x"].to_dict() | size | {"method": ours}
                        self.tables["headlines"][headline.name, dataset] = found
        for dataset in self.whole:
            told = self._json_of(f"reconstruct/{OURS}/{dataset}/inference.json")
            if told:
                row = {"paper": paper_numbers()["other"]["inference_ms_rtx3090"], "ours": told["ms"]}
                self.tables["headlines"][INFERENCE_MS, dataset] = row | {"samples": told["samples"], "method": OURS}

    def _by_yaw(self, comparison: Comparison, dataset: str) -> list[tuple[str, Paired]]:
        """The parts of a comparison, by yaw of the side view that varies where it has columns of yaws."""
        scores, views = self.whole[dataset], self.manifests[dataset]
        turned = {view: views[views["view"] == view].set_index("sample")["yaw"].abs() for view in ("right", "left")}
        yaw_of = turned["right" if turned["right"].nunique() > turned["left"].nunique() else "left"]
        drawn_with_light = set(views.loc[views["illumination"] == RANDOM_LIGHT, "sample"])
        scores = scores.assign(yaw=scores["sample"].map(yaw_of.drop(drawn_with_light, errors="ignore")))
        if comparison.left_yaw is not None:
            scores = scores[scores["yaw"] == abs(comparison.left_yaw)]
        parts = {"": scores}
        if comparison.by_yaw:
            common = Paired(scores, self.made, methods=comparison.rows).errors.index.get_level_values("sample")
            scores = scores[scores["sample"].isin(common)]
            relit = scores[scores["sample"].isin(drawn_with_light)]
            scores = scores[scores["yaw"].notna() & (scores["subject"].isin(relit["subject"]) | relit.empty)]
            yaws = sorted(scores["yaw"].unique())
            people = [p for p, of_one in scores.groupby("subject") if set(of_one["yaw"]) == set(yaws)]
            scores = scores[scores["subject"].isin(people)]
            parts = {f"{yaw:g}": scores[scores["yaw"] == yaw] for yaw in yaws}
            if len(relit):
                parts[RANDOM] = relit[relit["subject"].isin(people)]
            elif len(yaws) > 1 and people:
                drawn = np.random.default_rng(self.made["seed"]).integers(len(yaws), size=len(people))
                of_subject = {p: yaws[i] for p, i in zip(people, drawn, strict=True)}
                parts[RANDOM] = scores[scores["yaw"] == scores["subject"].map(of_subject)]
        paired = {name: Paired(part, self.made, methods=comparison.rows) for name, part in parts.items()}
        return [(name, part) for name, part in paired.items() if not part.errors.empty]

    def _steps(self) -> None:
        """What every step kept and set aside."""
        whole = self.scores[(self.scores["protocol"] == "paper") & (self.scores["region"] == "all")]
        for dataset, manifest in self.manifests.items():
            for split, rows in manifest.groupby("split"):
                self._step(dataset, f"align, {split}", rows)
            unaligned = manifest.loc[manifest["status"] != "ok", "sample"]
            scored = whole[(whole["dataset"] == dataset) & ~whole["sample"].isin(unaligned)]
            for method, rows in scored.groupby("method"):
                row = self._step(dataset, f"score, {read_key(method).name}".replace("_{", "_").replace("}", ""), rows)
                row["coverage"] = rows["coverage"].mean()
                registered = self.results / "register" / method / f"{dataset}.npz"
                if registered.exists():
                    with opened(registered, np.load) as arrays:
                        row["not_converged"] = int(np.sum((arrays["status"] == "ok") & ~arrays["converged"]))

    def _step(self, dataset: str, step: str, rows: pd.DataFrame) -> Row:
        """The counts of a step, whose rows may be several a sample; those set aside are a table of their own."""
        failed = rows[rows["status"] != "ok"].drop_duplicates("sample")
        every, aside = rows["sample"].nunique(), len(failed)
        told = {(dataset, step, one.sample): {"reason": one.reason} for one in failed.itertuples()}
        self.tables["set_aside"] |= told
        row = {"samples": every, "kept": every - aside, "set_aside": aside}
        self.tables["samples"][dataset, step] = row
        return row

    def _files(self) -> None:
        """What other stages tell of themselves, where they ran."""
        for name, method in self.made["trainings"].items():
            steps = opened(self.results / "train" / name / "metrics.csv", pd.read_csv)
            last = steps[steps["epoch"] == steps["epoch"].max()].mean().to_dict()
            row = last | {"epochs": steps["epoch"].max() + 1, "steps": steps["step"].max() + 1}
            self.tables["losses" if method == "df_mvr" else f"losses_{method}"][(name,)] = row
        parser, model = (self._json_of(name) for name in ("parse/metrics.json", "face_model/summary.json"))
        kinds = {"photographs": parser, "black background": parser.get("black_background")}
        self.tables["parser"] = {(kind,): found for kind, found in kinds.items() if found}
        measures = model.get("population_mm") or {}
        self.tables["population"] = {(n,): {"mean_mm": mean, "std_mm": std} for n, (mean, std) in measures.items()}
        self.tables["held_out"] = {(heads,): found for heads, found in (model.get("held_out_rms_mm") or {}).items()}
        for method in self.scores["method"].unique():
            protocols = self._json_of(f"score/{method}/real_scan.json").get("protocols", {})
            self.tables["real_scan"] |= {(protocol, method): found for protocol, found in protocols.items()}

    def _json_of(self, name: str) -> Row:
        path = self.results / name
        return opened(path, read_plain) if path.exists() else {}
