"""Names of Bosphorus's files: subject, class, code and take, such as `bs012_YR_R45_0`.

ASSUME: a turn to R is a turn of the person to the own right, so the nose points to the image's left;
`datasets.bosphorus.exchange_sides` says otherwise.
Source: Savran et al. 2008, "Bosphorus Database for 3D Face Analysis", and public readers of the data set.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple, Self

from dfmvr.errors import DataError

CLASSES = {
    "N": "neutral",
    "E": "emotion",
    "LFAU": "action unit of the lower face",
    "UFAU": "action unit of the upper face",
    "CAU": "combination of action units",
    "YR": "yaw rotation",
    "PR": "pitch rotation",
    "CR": "cross rotation",
    "O": "occlusion",
    "IGN": "to be ignored",
}
PITCHES = {"U": "up", "SU": "slightly up", "D": "down", "SD": "slightly down", "RU": "up", "RD": "down"}
IGNORED = "IGN"
_EXPRESSION_PREFIX = {"LFAU": "lower_", "UFAU": "upper_", "CAU": "combined_", "E": ""}
SUBJECT = re.compile(r"bs\d{3}", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9]+", re.ASCII)
_TURN = re.compile(r"([RL])(\d{1,2})", re.ASCII | re.IGNORECASE)


class ScanName(NamedTuple):
    """What the name of a scan's files tells, such as `bs012_YR_R45_0`."""

    subject: str
    cls: str  # a key of CLASSES
    code: str
    take: int

    @classmethod
    def parse(cls, stem: str) -> Self:
        """Take a name apart.

        Raises:
            DataError: it is not of the data set's form.
        """
        parts = stem.split("_")
        if len(parts) == 4:
            subject, kind, code, take = parts
            whole = SUBJECT.fullmatch(subject) and _CODE.fullmatch(code) and take.isascii() and take.isdecimal()
            if whole and kind.upper() in CLASSES and len(take) < 5:
                return cls(subject, kind.upper(), code, int(take))
        raise DataError(
            f"{stem[:80]}: expected subject, class ({', '.join(CLASSES)}), code and take such as bs000_N_N_0; rename it"
        )

    @property
    def stem(self) -> str:
        """The name of the scan's files without their suffix."""
        return f"{self.subject}_{self.cls}_{self.code}_{self.take}"

    @property
    def kind(self) -> tuple[str, str]:
        """Class and code regardless of case, which varies in the data set."""
        return self.cls, self.code.upper()

    @property
    def ignored(self) -> bool:
        """Whether the data set says that the scan is not to be used."""
        return IGNORED in self.kind

    @property
    def expression(self) -> str:
        """The expression, such as `happy`, `lower_12l`, `combined_a22a25`; `neutral` where the face is only turned."""
        prefix = _EXPRESSION_PREFIX.get(self.cls)
        return "neutral" if prefix is None else prefix + self.code.lower()

    @property
    def pitch(self) -> str:
        """Where the face looks, a value of PITCHES, or empty if straight ahead."""
        return PITCHES.get(self.code.upper(), "") if self.cls in ("PR", "CR") else ""

    @property
    def occlusion(self) -> str:
        """What hides a part of the face, such as `glasses`, or empty."""
        return self.code.lower() if self.cls == "O" else ""

    def yaw(self, exchange_sides: bool = False) -> float:
        """Nominal turn in degrees, negative where the nose points to the image's left; NaN where none is told."""
        turn = _TURN.fullmatch(self.code)
        if self.cls == "YR" and turn:
            to_right = (turn[1].upper() == "L") != exchange_sides
            return float(turn[2]) * (1 if to_right else -1)
        return math.nan if self.cls in ("YR", "CR", "IGN") else 0.0
