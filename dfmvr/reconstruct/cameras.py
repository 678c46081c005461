"""The cameras of a face's photographs as numbers that other programs can use.

A camera's frame is OpenCV's: x to the image's right, y down, z along the viewing direction, mm. Pixels are continuous
(conventions): the image spans [0, W] x [0, H].
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import numpy as np

from dfmvr.conventions import ALIGNMENT_POINTS, CAMERA_DISTANCE_MM
from dfmvr.geometry.camera import focal_px
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.reconstruct.reconstruction import Reconstruction, SeenView

SCHEMA_VERSION = "1.0"


def rotation_of(face: Reconstruction, view: SeenView) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and translation (3,) mm from the canonical frame to the posed one of a view (conventions)."""
    angles, translation = face.coefficients.angles[0], face.coefficients.translation[0]
    return euler_to_rotmat(angles[view.place].double()).numpy(), translation[view.place].double().numpy()


def intrinsics(image_size: int) -> np.ndarray:
    """Matrix (3, 3) from a camera's frame to homogeneous pixels of the crop."""
    focal, centre = focal_px(image_size), image_size / 2
    return np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]], np.float64)


def extrinsics(face: Reconstruction, view: SeenView) -> np.ndarray:
    """Matrix (3, 4) from the canonical frame to the camera's."""
    rotation, translation = rotation_of(face, view)
    moved = np.column_stack([rotation, translation - (0, 0, CAMERA_DISTANCE_MM)])
    return np.array([1.0, -1.0, -1.0])[:, None] * moved


def photo_matrix(face: Reconstruction, view: SeenView) -> np.ndarray:
    """Matrix (3, 4) from the canonical frame, homogeneous mm, to homogeneous pixels of the uncropped photograph.

    The third homogeneous coordinate is the depth in mm; so `Reconstruction.project` is this, written as one matrix.
    """
    to_crop = np.vstack([np.asarray(view.affine, np.float64), (0, 0, 1)])
    return np.linalg.solve(to_crop, intrinsics(face.image_size) @ extrinsics(face, view))


def document(face: Reconstruction) -> dict[str, Any]:
    """All numbers of a face, as JSON has them; `face.schema.json` describes every entry."""
    model, coefficients = face.model, face.coefficients
    lines = {
        "lengths": "millimetres; angles: radians; image coordinates: pixels",
        "frame": "x to the viewer's right, y up, z toward the camera, origin at the centroid of the model's mean face; "
        "left and right of body parts are the person's own",
        "pose": "posed = rotation @ canonical + translation, rotation = Rz Ry Rx of angles; the camera is at "
        "(0, 0, 1000) mm of the posed frame and looks along -z",
        "pixels": "x right, y down, continuous: the image spans [0, width] x [0, height], the first pixel's centre is "
        "at (0.5, 0.5)",
        "meshes": "canonical frame; PLY and OBJ in millimetres, GLB in metres",
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "conventions": lines,
        "model": {"name": model.name, "vertices": len(face.vertices), "triangles": len(face.triangles)},
        "coefficients": {
            name: getattr(coefficients, name)[0].double().tolist() for name in ("identity", "expression", "texture")
        },
        "expression_names": list(model.expression_names),
        "landmarks_68": face.vertices[model.landmarks_68.numpy()].tolist(),
        "alignment_points": {
            name: face.vertices[index].tolist()
            for name, index in zip(ALIGNMENT_POINTS, model.alignment.tolist(), strict=True)
        },
        "views": [_view(face, view) for view in face.views],
    }


def _view(face: Reconstruction, view: SeenView) -> dict[str, Any]:
    """What the document tells of a photograph."""
    rotation, translation = rotation_of(face, view)
    landmarks = face.vertices[face.model.landmarks_68.numpy()]
    height, width = view.photo.shape[:2]
    return {
        "name": view.name,
        "photo": {"width": width, "height": height},
        "angles": face.coefficients.angles[0, view.place].double().tolist(),
        "rotation": rotation.tolist(),
        "translation": translation.tolist(),
        "lighting": face.coefficients.lighting[0, view.place].double().tolist(),
        "crop": {"size": face.image_size, "intrinsics": intrinsics(face.image_size).tolist()},
        "canonical_to_camera": extrinsics(face, view).tolist(),
        "photo_to_crop": np.asarray(view.affine, np.float64).tolist(),
        "canonical_to_photo": photo_matrix(face, view).tolist(),
        "landmarks_found": [_point(point) for point in np.asarray(view.landmarks, np.float64)],
        "landmarks_68_model": face.project(view, landmarks)[:, :2].tolist(),
    }


def _point(point: np.ndarray) -> list[float] | None:
    """A point, or null for one that is not known."""
    return point.tolist() if np.isfinite(point).all() else None


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of the document."""
    text = resources.files(__package__).joinpath("face.schema.json").read_text(encoding="utf-8")
    return json.loads(text)


def arrays(face: Reconstruction) -> dict[str, np.ndarray]:
    """The coefficients, of the given views alone, and the mesh, as named arrays."""
    places = [view.place for view in face.views]
    of_face = ("identity", "expression", "texture")
    result = {name: getattr(face.coefficients, name)[0].numpy() for name in of_face}
    result |= {
        name: getattr(face.coefficients, name)[0, places].numpy() for name in ("lighting", "angles", "translation")
    }
    return result | {
        "views": np.array([view.name for view in face.views]),
        "canonical_to_photo": np.stack([photo_matrix(face, view) for view in face.views]),
        "vertices": face.vertices,
        "triangles": face.triangles.astype(np.int32),
        "albedo": face.albedo,
        "landmarks_68": face.model.landmarks_68.numpy().astype(np.int32),
        "alignment": face.model.alignment.numpy().astype(np.int32),
    }
