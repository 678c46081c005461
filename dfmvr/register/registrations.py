"""The registrations of a method on a data set: a table of samples and protocols, on disk as `.npz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfmvr.files import read_npz, write_npz
from dfmvr.register.icp import Registration

DEFAULT_PROTOCOL = "paper"
OK, SET_ASIDE = "ok", "set aside"


class Registrations:
    """The registrations of all test samples of one method on one data set, by protocol; `.npz` on disk."""

    def __init__(self, protocols: list[str]) -> None:
        self.protocols = protocols
        self.samples: list[str] = []
        self._found: dict[tuple[str, str], Registration] = {}
        self._reasons: dict[tuple[str, str], str] = {}

    def add(self, sample: str, protocol: str, result: Registration | str) -> None:
        """Note a registration or, if the sample is set aside, the reason."""
        if sample not in self.samples:
            self.samples.append(sample)
        if isinstance(result, str):
            self._reasons[sample, protocol] = result
        else:
            self._found[sample, protocol] = result

    def get(self, sample: str, protocol: str) -> Registration | str:
        """Look up a registration, or the reason why there is none."""
        missing = "not registered: register these meshes again with the same data set and protocols"
        return self._found.get((sample, protocol)) or self._reasons.get((sample, protocol), missing)

    def _reason(self, sample: str, protocol: str) -> str:
        result = self.get(sample, protocol)
        return result if isinstance(result, str) else ""

    def write(self, path: Path | str) -> None:
        """Write all as `.npz`; rows of samples set aside hold NaN."""
        nothing = Registration(np.nan, np.full((3, 3), np.nan), np.full(3, np.nan), False, np.zeros(0))
        arrays: dict[str, np.ndarray] = {
            "sample": np.array(self.samples, str),
            "protocol": np.array(self.protocols, str),
        }
        for protocol in self.protocols:
            rows = [self._found.get((sample, protocol), nothing) for sample in self.samples]
            reasons = [self._reason(sample, protocol) for sample in self.samples]
            history = np.full((len(rows), max([len(row.rmse_mm) for row in rows], default=0)), np.nan)
            for place, row in zip(history, rows, strict=True):
                place[: len(row.rmse_mm)] = row.rmse_mm
            columns = {
                "scale": np.array([row.scale for row in rows]),
                "rotation": np.array([row.rotation for row in rows]),
                "translation": np.array([row.translation for row in rows]),
                "converged": np.array([row.converged for row in rows]),
                "history": history,
                "status": np.array([SET_ASIDE if reason else OK for reason in reasons]),
                "reason": np.array(reasons, str),
            }
            arrays |= {_key(name, protocol): column for name, column in columns.items()}
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
            column = {
                name: arrays[_key(name, protocol)]
                for name in ("scale", "rotation", "translation", "converged", "history", "reason")
            }
            for i, sample in enumerate(arrays["sample"]):
                history = column["history"][i]
                result.add(
                    str(sample),
                    protocol,
                    str(column["reason"][i])
                    or Registration(
                        float(column["scale"][i]),
                        column["rotation"][i],
                        column["translation"][i],
                        bool(column["converged"][i]),
                        history[np.isfinite(history)],
                    ),
                )
        return result


def _key(name: str, protocol: str) -> str:
    """Name an array of a protocol."""
    return name if protocol == DEFAULT_PROTOCOL else f"{name}_{protocol}"
