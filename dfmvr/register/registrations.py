"""The registrations of a method on a data set: a table of samples and protocols, on disk as `.npz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfmvr.files import read_npz, write_npz
from dfmvr.register.icp import Registration

DEFAULT_PROTOCOL = "paper"
OK, SET_ASIDE = "ok", "set aside"
_NOTHING = Registration(np.nan, np.full((3, 3), np.nan), np.full(3, np.nan), False, np.zeros(0))
_COLUMNS = ("scale", "rotation", "translation", "converged", "history", "status", "reason")


class Registrations:
    """The registrations of all test samples of one method on one data set, by protocol."""

    def __init__(self, protocols: list[str]) -> None:
        self.protocols = protocols
        self._found: dict[str, dict[str, Registration | str]] = {}

    @property
    def samples(self) -> list[str]:
        """The samples in the order in which they were added."""
        return list(self._found)

    def add(self, sample: str, protocol: str, result: Registration | str) -> None:
        """Note a registration or, if the sample is set aside, the reason."""
        self._found.setdefault(sample, {})[protocol] = result

    def get(self, sample: str, protocol: str) -> Registration | str:
        """Look up a registration, or the reason why there is none."""
        missing = "not registered: register these meshes again with the same data set and protocols"
        return self._found.get(sample, {}).get(protocol, missing)

    def write(self, path: Path | str) -> None:
        """Write all as `.npz`; rows of samples set aside hold NaN."""
        arrays = {"sample": np.array(self.samples, str), "protocol": np.array(self.protocols, str)}
        for protocol in self.protocols:
            results = [self.get(sample, protocol) for sample in self._found]
            reasons = [result if isinstance(result, str) else "" for result in results]
            rows = [_NOTHING if isinstance(result, str) else result for result in results]
            history = np.full((len(rows), max([len(row.rmse_mm) for row in rows], default=0)), np.nan)
            for place, row in zip(history, rows, strict=True):
                place[: len(row.rmse_mm)] = row.rmse_mm
            columns = [np.array([getattr(row, name) for row in rows]) for name in _COLUMNS[:4]]
            status = np.array([SET_ASIDE if reason else OK for reason in reasons])
            columns += [history, status, np.array(reasons, str)]
            arrays |= dict(zip(_keys(protocol), columns, strict=True))
        write_npz(path, **arrays)

    @classmethod
    def read(cls, path: Path | str) -> Registrations:
        """Read what `write` has written.

        Raises:
            DataError: the file is missing or lacks an array.
        """
        arrays = read_npz(path, "sample", "protocol", "scale", "rotation", "translation", "status", "reason")
        result = cls([str(name) for name in arrays["protocol"]])
        for protocol in result.protocols:
            rows = zip(arrays["sample"], *(arrays[key] for key in _keys(protocol)), strict=True)
            for sample, scale, rotation, translation, converged, history, _, reason in rows:
                known = history[np.isfinite(history)]
                found = Registration(float(scale), rotation, translation, bool(converged), known)
                result.add(str(sample), protocol, str(reason) or found)
        return result


def _keys(protocol: str) -> list[str]:
    """Names of the arrays of a protocol."""
    return [name if protocol == DEFAULT_PROTOCOL else f"{name}_{protocol}" for name in _COLUMNS]
