"""The networks: BiSeNet parses a face, Tri-UNet fuses three views, RedNet regresses the coefficients (paper III)."""

from dfmvr.networks.bisenet import BiSeNet, ParserLogits
from dfmvr.networks.df_mvr import DFMVR, Coefficients, NetworkSettings
from dfmvr.networks.involution import Involution, involve
from dfmvr.networks.rednet import RedNet
from dfmvr.networks.tri_unet import TriUNet

__all__ = [
    "DFMVR",
    "BiSeNet",
    "Coefficients",
    "Involution",
    "NetworkSettings",
    "ParserLogits",
    "RedNet",
    "TriUNet",
    "involve",
]
