"""The law through errors after several numbers of steps, once more; see `dfmvr.report.check.compare`.

Shared is the fit, `dfmvr.report.tables.power_law`, which is tried against closed forms.
"""

from __future__ import annotations

import zlib

import numpy as np

from dfmvr.report.check.paired import Paired, Row
from dfmvr.report.tables.power_law import fit
from dfmvr.study.methods import FLOOR, MEAN_FACE


def law_of(curve: str, paired: Paired, lengths: dict[str, int]) -> Row:
    """The law and where it leads; nothing for fewer than three lengths, or without people, mean face and floor."""
    names, steps, people = list(lengths), np.array(list(lengths.values())), paired.size["subjects"]
    if len(set(steps)) < 3 or not {MEAN_FACE, FLOOR} <= set(paired.errors) or people < 2:
        return {}
    least = float(paired.value[FLOOR])
    law = fit(steps, paired.value[names].to_numpy(), least)
    drawn = paired.resampled[:2000]
    noise = np.random.default_rng(zlib.crc32(curve.encode())).normal(size=(len(drawn), len(names)))
    off = float(((law.floor + law.factor * steps**-law.exponent - paired.value[names]) ** 2).sum())
    noise *= np.sqrt(off / (len(steps) - 3)) if len(steps) > 3 else 0
    laws = fit(steps, drawn[names].to_numpy() + noise, least)
    row: Row = {"points": len(steps), "subjects": people, "factor_mm": float(law.factor)}
    for name, value, values in (
        ("floor_mm", law.floor, laws.floor),
        ("exponent", law.exponent, laws.exponent),
    ):
        ends = np.quantile(values, [paired.tail, 1 - paired.tail])
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), (float(value), *ends), strict=True))
    for share in (0.2, 0.4):
        wanted = paired.value[MEAN_FACE] * (1 - share) + paired.value[FLOOR] * share
        of_drawn = (drawn[MEAN_FACE] * (1 - share) + drawn[FLOOR] * share).to_numpy()
        often = np.zeros(len(drawn))  # one over the steps
        reached = (of_drawn > laws.floor) & (laws.factor > 0)
        part = (of_drawn - laws.floor)[reached] / laws.factor[reached]
        often[reached] = part ** (1 / laws.exponent[reached])
        ends = [1 / end if end > 0 else np.inf for end in np.quantile(often, [1 - paired.tail, paired.tail])]
        once = wanted > law.floor and law.factor > 0
        value = ((wanted - law.floor) / law.factor) ** (-1 / law.exponent) if once else np.inf
        name = f"steps_{100 * share:.0f}"
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), (float(value), *ends), strict=True))
    return row
