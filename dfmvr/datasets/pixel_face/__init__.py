"""Pixel-Face: three photographs, a scan with 106 keypoints and a registered mesh a sample; in two layouts."""

from dfmvr.datasets.pixel_face.dataset import (
    PixelFace,
    SampleInfo,
    read_ground_truth,
    read_landmarks_106,
    write_sample,
    write_splits,
)
from dfmvr.datasets.pixel_face.ground_truth import GroundTruth
from dfmvr.datasets.pixel_face.views import read_annotation, read_photo

__all__ = [
    "GroundTruth",
    "PixelFace",
    "SampleInfo",
    "read_annotation",
    "read_ground_truth",
    "read_landmarks_106",
    "read_photo",
    "write_sample",
    "write_splits",
]
