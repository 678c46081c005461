"""A real, textured head scan photographed from left, front and right, for a test on a face that nobody simulated.

In     a folder with head.obj (with texture coordinates), albedo.jpg and landmarks.csv, in one unit.
Gives  {view}.jpg and {view}.txt (the five points that `dfmvr reconstruct --landmarks` reads) for each view, and
       scan.ply with scan.landmarks.csv (what `dfmvr score two_meshes` reads), mm.

landmarks.csv names its points by the side of the image on which a frontal photograph shows them:
{outer,inner}_eye_image_{left,right}, nose_tip, mouth_corner_image_{left,right}; others are passed over.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from dfmvr.colour import decode_srgb
from dfmvr.config.data import SimulateSection
from dfmvr.conventions import ALIGNMENT_POINTS, CAMERA_DISTANCE_MM, VIEWS
from dfmvr.datasets.images import write_image
from dfmvr.datasets.landmark_files import write_landmark_file
from dfmvr.errors import ConfigError, DataError
from dfmvr.face_model.coefficients import MEAN_YAW_DEG
from dfmvr.folders import writing_folder
from dfmvr.geometry.camera import focal_px
from dfmvr.geometry.meshes import Mesh, read_landmarks, write_landmarks, write_mesh
from dfmvr.geometry.vectors import unit
from dfmvr.rendering.rasterizer import rasterize
from dfmvr.simulate.studio.camera import Camera, footprint, rotation
from dfmvr.simulate.studio.light import PAINT_SIZE, Light
from dfmvr.simulate.studio.photograph import ViewLayer, cast_shadow, expose
from dfmvr.simulate.studio.sensor import CameraPipeline, develop

PHOTO_PX = 512
FIELD = 1.6
"""Width of the photograph in widths of an aligned crop, so that the whole head is seen."""

SIDES = {"right": "image_left", "left": "image_right"}
SEVEN = tuple("_".join(SIDES.get(word, word) for word in name.split("_")) for name in ALIGNMENT_POINTS)
"""The names in landmarks.csv of `conventions.ALIGNMENT_POINTS`, in their order."""

# ASSUME: daylight from above and to the side, and a bright room: ordinary light that hides nothing of the face.
LIGHT = Light(
    np.array([[0.45, 0.55, 0.70]], np.float32),
    np.array([[0.75, 0.72, 0.68]], np.float32),
    np.array([[0.45, 0.46, 0.48], [0, 0, 0], [0.1, 0.1, 0.1], [0.05, 0.05, 0.05]], np.float32),
)
SKIN = (0.3, 20.0, 0.1, 0.1, 0.1)  # gloss, sharpness and softness
PIPELINE = CameraPipeline(1.0, np.ones(3, np.float32), 0.6, 0.0, 0.0, 1e-4, 1e-3, 0.2, 92)


class HeadScan(NamedTuple):
    """A textured scan; N vertices (repeated along the seams of the texture), M triangles."""

    vertices: np.ndarray  # (N, 3) mm, y up, z toward the viewer, origin at the mean of the seven points
    triangles: np.ndarray  # (M, 3)
    normals: np.ndarray  # (N, 3) unit
    uv: np.ndarray  # (N, 2) in [0, 1], v up
    texture: np.ndarray  # (H, W, 3) uint8 sRGB
    landmarks: np.ndarray  # (7, 3) mm


def read_head_scan(folder: Path | str, mm_per_unit: float) -> HeadScan:
    """Read a textured scan.

    Args:
        folder: with head.obj, albedo.jpg and landmarks.csv.
        mm_per_unit: millimetres in one unit of the files.

    Raises:
        DataError: a file is missing or unreadable, or the mesh has no texture coordinates.
    """
    import trimesh

    folder = Path(folder)
    try:
        with Image.open(folder / "albedo.jpg") as image:
            texture = np.asarray(image.convert("RGB"))
        loaded = trimesh.load(folder / "head.obj", process=False, force="mesh")
        uv = np.asarray(loaded.visual.uv, float)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(
            f"{folder}: expected head.obj with texture coordinates and albedo.jpg, failed: {error}"
        ) from None
    points = read_landmarks(folder / "landmarks.csv", names=SEVEN) * mm_per_unit
    origin = points.mean(0)
    vertices = np.asarray(loaded.vertices, float) * mm_per_unit - origin
    # A seam has one vertex on each side; their normals must agree, so they are those of the merged surface.
    _, first, back = np.unique(vertices.round(6), axis=0, return_index=True, return_inverse=True)
    back = back.ravel()
    merged = trimesh.Trimesh(vertices[first], back[loaded.faces], process=False)
    return HeadScan(vertices, np.asarray(loaded.faces), merged.vertex_normals[back], uv, texture, points - origin)


def camera_of(view: str, distance_mm: float = CAMERA_DISTANCE_MM) -> Camera:
    """The camera that sees the head turned as the mean face of that view; from nearer, with a wider lens."""
    return _camera(MEAN_YAW_DEG[view], distance_mm=distance_mm)


def _camera(yaw_deg: float, pitch_deg: float = 0.0, distance_mm: float = CAMERA_DISTANCE_MM) -> Camera:
    """A camera before the head turned by these angles, in degrees about y, then x."""
    turn = rotation((pitch_deg, 0, 0)) @ rotation((0, yaw_deg, 0))
    focal = focal_px(PHOTO_PX) / FIELD * distance_mm / CAMERA_DISTANCE_MM
    return Camera(turn, np.array([0, 0, -distance_mm]), focal, (PHOTO_PX, PHOTO_PX))


def photograph_scan(
    scan: HeadScan, view: str, light: Light = LIGHT, distance_mm: float = CAMERA_DISTANCE_MM
) -> np.ndarray:
    """Photograph (S, S, 3) uint8 of a scan with its own texture, before a grey wall."""
    camera, light = camera_of(view, distance_mm), light._replace(directions=unit(light.directions))
    covered = footprint(camera.project(scan.vertices), scan.triangles, camera.shape)
    points, normals, uv = covered.interpolate(scan.vertices, scan.normals, scan.uv)
    height, width = scan.texture.shape[:2]
    column = np.clip(uv[:, 0] * width, 0, width - 1).astype(int)
    row = np.clip((1 - uv[:, 1]) * height, 0, height - 1).astype(int)
    paint = np.empty((len(points), PAINT_SIZE))
    paint[:, :3] = decode_srgb(scan.texture[row, column] / np.float32(255))
    paint[:, 3:] = SKIN
    layer = ViewLayer(covered.pixel, points, unit(normals), paint, np.ones(len(points), np.float32), None)
    wall = np.full((*camera.shape, 3), 0.18, np.float32)
    shadow = cast_shadow(light.directions[0], [(scan.vertices, scan.triangles)])
    return develop(expose(camera, [layer], light, shadow, wall), PIPELINE, np.random.default_rng(VIEWS.index(view)))


def visible_surface(scan: HeadScan) -> Mesh:
    """The triangles that some camera around the face sees: not the backs of eyeballs or the inside of the mouth.

    A scanner sees no others, and an error measured against hidden ones means nothing.
    """
    seen = np.zeros(len(scan.triangles), bool)
    for yaw, pitch in ((yaw, pitch) for yaw in (-60, -30, 0, 30, 60) for pitch in (-25, 0, 25)):
        camera = _camera(yaw, pitch)
        points = torch.from_numpy(camera.project(scan.vertices).astype(np.float32))[None]
        faces = rasterize(points, torch.from_numpy(scan.triangles), camera.shape, cull_backfaces=True).pix_to_face
        seen[faces[faces >= 0].unique().numpy()] = True
    kept, triangles = np.unique(scan.triangles[seen], return_inverse=True)
    return Mesh(scan.vertices[kept], triangles.reshape(-1, 3))


def five_of(seven: np.ndarray) -> np.ndarray:
    """The five points of the alignment (image-left eye, image-right eye, nose, mouth corners) of the seven (7, D)."""
    return np.stack(((seven[0] + seven[1]) / 2, (seven[2] + seven[3]) / 2, *seven[4:]))


def write_photographs(scan: HeadScan, folder: Path) -> None:
    """Write photographs, landmark files and the scan itself into a folder (see the module's docstring)."""
    for view in VIEWS:
        write_image(folder / f"{view}.jpg", photograph_scan(scan, view), PIPELINE.jpeg_quality)
        write_landmark_file(folder / f"{view}.txt", five_of(camera_of(view).project(scan.landmarks)[:, :2]))
    write_mesh(folder / "scan.ply", visible_surface(scan))
    write_landmarks(folder / "scan.landmarks.csv", scan.landmarks)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files of the command."""
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder of the photographs")


def main(args: argparse.Namespace, settings: SimulateSection) -> None:
    """Photograph the configured head scan.

    Raises:
        ConfigError: none is configured.
        DataError: a file of it is missing or unreadable.
        OutputError: a file cannot be written.
    """
    if settings.real_scan is None:
        raise ConfigError("simulate.real_scan: missing; name the folder of a scan: head.obj, albedo.jpg, landmarks.csv")
    scan = read_head_scan(settings.real_scan, settings.real_scan_mm_per_unit)
    with writing_folder(args.output, "simulate real_scan") as folder:
        write_photographs(scan, folder)
