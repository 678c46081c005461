"""A face and the cameras of its photographs as numbers that other programs can use: face.json and face.npz."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import numpy as np

from dfmvr.conventions import ALIGNMENT_POINTS
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView

SCHEMA_VERSION = "1.2"
CONVENTIONS = {
    "lengths": "millimetres; angles: radians; image coordinates: pixels",
    "frame": "x to the viewer's right, y up, z toward the camera, origin at the centroid of the model's mean face; "
    "left and right of body parts are the person's own",
    "pose": "posed = rotation @ canonical + translation, rotation = Rz Ry Rx of angles; the camera is at "
    "(0, 0, 1000) mm of the posed frame and looks along -z",
    "pixels": "x right, y down, continuous: the image spans [0, width] x [0, height], the first pixel's centre is "
    "at (0.5, 0.5)",
    "meshes": "canonical frame; PLY and OBJ in millimetres, GLB in metres",
}


def document(face: Reconstruction) -> dict[str, Any]:
    """All numbers of a face, as JSON has them; `face.schema.json` describes every entry."""
    model, of_face = face.model, list(face.coefficients._asdict().items())[:3]
    return {
        "schema_version": SCHEMA_VERSION,
        "conventions": CONVENTIONS,
        "model": {"name": model.name, "vertices": len(face.vertices), "triangles": len(face.triangles)},
        "coefficients": {name: tensor[0].double().tolist() for name, tensor in of_face},
        "displacement": None if face.displacement is None else _displacement(face.displacement),
        "expression_names": list(model.expression_names),
        "actions": face.actions,
        "landmarks_68": face.vertices[model.landmarks_68.numpy()].tolist(),
        "alignment_points": {
            name: face.vertices[index].tolist()
            for name, index in zip(ALIGNMENT_POINTS, model.alignment.tolist(), strict=True)
        },
        "notes": list(face.notes),
        "views": [_view(face, view.in_file) for view in face.views],
    }


def _displacement(along_normals: np.ndarray) -> dict[str, float]:
    """How far the mesh is from what the coefficients give."""
    return {"rms": float(np.sqrt((along_normals**2).mean())), "largest": float(np.abs(along_normals).max())}


def _view(face: Reconstruction, view: SeenView) -> dict[str, Any]:
    """What the document tells of a photograph, in pixels of its file."""
    camera = face.camera(view)
    landmarks = face.vertices_in(view)[face.model.landmarks_68.numpy()]
    expression = face.as_in(view).coefficients.expression
    height, width = view.file_size or view.photo.shape[:2]
    return {
        "name": view.name,
        "photo": {"width": width, "height": height},
        "angles": camera.angles.tolist(),
        "rotation": camera.rotation.tolist(),
        "translation": camera.translation.tolist(),
        "expression": expression[0].double().tolist(),
        "focal_length": {"px": camera.focal_px, "known": view.focal_px is not None},
        "lighting": face.coefficients.lighting[0, view.place].double().tolist(),
        "crop": {"size": face.image_size, "intrinsics": camera.intrinsics.tolist()},
        "canonical_to_camera": camera.extrinsics.tolist(),
        "photo_to_crop": np.asarray(view.affine, np.float64).tolist(),
        "canonical_to_photo": camera.matrix.tolist(),
        "landmarks_found": [p.tolist() if np.isfinite(p).all() else None for p in view.landmarks],
        "landmarks_68_model": camera.project(landmarks)[:, :2].tolist(),
    }


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of the document."""
    text = resources.files(__package__).joinpath("face.schema.json").read_text(encoding="utf-8")
    return json.loads(text)


def arrays(face: Reconstruction) -> dict[str, np.ndarray]:
    """The coefficients, of the given views alone, and the mesh, as named arrays."""
    given = face.coefficients.of_views([view.place for view in face.views])
    return {name: tensor[0].numpy() for name, tensor in given._asdict().items()} | {
        "views": np.array([view.name for view in face.views]),
        "canonical_to_photo": np.stack([face.camera(view.in_file).matrix for view in face.views]),
        "vertices": face.vertices,
        "displacement": np.zeros(len(face.vertices)) if face.displacement is None else face.displacement,
        "triangles": face.triangles.astype(np.int32),
        "albedo": face.albedo,
        "landmarks_68": face.model.landmarks_68.numpy().astype(np.int32),
        "alignment": face.model.alignment.numpy().astype(np.int32),
    }
