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

EXPRESSIONS = {"E": "", "LFAU": "lower_", "UFAU": "upper_", "CAU": "combined_"}
"""Classes of faces with an emotion, action units of the lower or upper face, or several; what their codes are prefixed
with in the name of an expression."""

CLASSES = ("N", *EXPRESSIONS, "YR", "PR", "CR", "O", "IGN")
"""Classes: neutral, the expressions, rotations in yaw, in pitch and in both, occlusions, and what is to be ignored."""

SUBJECT = re.compile(r"bs\d{3}", re.ASCII)
_NAME = re.compile(rf"({SUBJECT.pattern})_([a-z]+)_([a-z0-9]+)_([0-9]{{1,4}})", re.ASCII | re.IGNORECASE)
_TURN = re.compile(r"([RL])(\d{1,2})", re.ASCII)


class ScanName(NamedTuple):
    """What the name of a scan's files tells, such as `bs012_YR_R45_0`."""

    subject: str
    cls: str  # one of CLASSES
    code: str
    take: int

    @classmethod
    def parse(cls, stem: str) -> Self:
        """Take a name apart.

        Raises:
            DataError: it is not of the data set's form.
        """
        match = _NAME.fullmatch(stem)
        if match is None or match[2].upper() not in CLASSES or not SUBJECT.fullmatch(match[1]):
            raise DataError(
                f"{stem[:80]}: expected subject, class ({', '.join(CLASSES)}), code and take such as bs000_N_N_0; "
                "rename it"
            )
        return cls(match[1], match[2].upper(), match[3], int(match[4]))

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
        return "IGN" in self.kind

    @property
    def expression(self) -> str:
        """The expression, such as `happy`, `lower_12l`, `combined_a22a25`; `neutral` where the face is only turned."""
        return EXPRESSIONS[self.cls] + self.code.lower() if self.cls in EXPRESSIONS else "neutral"

    def yaw(self, exchange_sides: bool = False) -> float:
        """Nominal turn in degrees, negative where the nose points to the image's left; NaN where none is told."""
        turn = _TURN.fullmatch(self.code.upper())
        if self.cls == "YR" and turn:
            to_right = (turn[1] == "L") != exchange_sides
            return float(turn[2]) * (1 if to_right else -1)
        return math.nan if self.cls in ("YR", "CR", "IGN") else 0.0
