"""The networks: BiSeNet parses a face, Tri-UNet fuses three views, RedNet regresses the coefficients (paper III).

Table IV compares them with `CNNFusion`, `UNet` and `ResNet`.
"""

from dfmvr.networks.bisenet import BiSeNet, ParserLogits
from dfmvr.networks.cnn_fusion import CNNFusion
from dfmvr.networks.df_mvr import DFMVR, Coefficients, NetworkSettings
from dfmvr.networks.inference import for_inference
from dfmvr.networks.involution import Involution, involve
from dfmvr.networks.rednet import RedNet
from dfmvr.networks.resnet import ResNet
from dfmvr.networks.tri_unet import TriUNet
from dfmvr.networks.unet import UNet

__all__ = [
    "DFMVR",
    "BiSeNet",
    "CNNFusion",
    "Coefficients",
    "Involution",
    "NetworkSettings",
    "ParserLogits",
    "RedNet",
    "ResNet",
    "TriUNet",
    "UNet",
    "for_inference",
    "involve",
]
