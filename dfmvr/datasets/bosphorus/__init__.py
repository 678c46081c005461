"""Bosphorus: range images of faces that turn and make faces, with photographs and named landmarks."""

from dfmvr.datasets.bosphorus.dataset import Bosphorus, write_scan
from dfmvr.datasets.bosphorus.landmarks import LANDMARKS
from dfmvr.datasets.bosphorus.names import CLASSES, ScanName

__all__ = ["CLASSES", "LANDMARKS", "Bosphorus", "ScanName", "write_scan"]
