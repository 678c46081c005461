"""Samples of Pixel-Face in the folders that the authors' code reads."""

import numpy as np

from dfmvr.datasets.pixel_face.authors import LANDMARKS, MESHES, sample_folder
from dfmvr.datasets.pixel_face.ground_truth import MM_PER_UNIT
from dfmvr.datasets.pixel_face.views import write_views
from dfmvr.geometry.meshes import Mesh, write_mesh


def write_sample_authors(root, split, subject, expression, photos, landmarks_106=None, mesh=None):
    """Write the files of one sample; lengths are rounded to a millionth of a decimetre."""
    folder = sample_folder(root, split, subject, expression)
    write_views(folder, photos)
    if landmarks_106 is not None:
        (folder / LANDMARKS).parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / LANDMARKS, landmarks_106 / MM_PER_UNIT, fmt="%.6f")
    if mesh is not None:
        decimetres = Mesh(np.round(mesh.vertices / MM_PER_UNIT, 6), mesh.triangles)
        write_mesh(root / MESHES / f"{subject}{expression}.obj", decimetres)
