"""Stage `align`: landmarks, five-point alignment, crops and the manifest.

needs   a data set folder (datasets.pixel_face) and the face model
gives   images.npy, samples.npz and manifest.parquet

`align_photo` and its neighbours do the same for a person's own photographs.
"""

from dfmvr.align.crop import align_photo, crop_photo, five_points, map_points, read_standard_points
from dfmvr.align.stage import add_arguments, main
from dfmvr.datasets.landmark_files import read_landmark_file

__all__ = [
    "add_arguments",
    "align_photo",
    "crop_photo",
    "five_points",
    "main",
    "map_points",
    "read_landmark_file",
    "read_standard_points",
]
