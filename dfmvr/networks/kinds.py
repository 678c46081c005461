"""The networks that a file may hold, by the name in its header; each is imported only where it is asked for."""

from __future__ import annotations

from typing import NamedTuple


class NetworkKind(NamedTuple):
    """Where a network is found."""

    module: str  # of dfmvr
    name: str


NETWORKS = {
    "df_mvr": NetworkKind("networks.df_mvr", "DFMVR"),
    "released_code": NetworkKind("released.network", "ReleasedDFMVR"),
    "deng": NetworkKind("networks.deep3d", "Deep3D"),
    "shang": NetworkKind("networks.mgcnet", "MGCNet"),
}
