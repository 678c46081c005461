"""All files of one face.

In     a `Reconstruction`.
Gives  in a folder, canonical pose, mm (GLB: m):
    face.glb, face.obj, face.ply    the mesh: with its texture (.obj: also face.mtl, face.png), with its colours (.ply)
    neutral.*                       the same without expression, if asked for
    face.landmarks.csv              the seven alignment points
    face.json, face.npz             coefficients and cameras (see numbers.py and face.schema.json), and the mesh
    overlay_<view>.jpg              landmarks and model over each photograph
    turntable.png                   the face from several sides
    avatar.glb                      the whole head, to be moved by ARKit's 52 actions, if asked for
    viewer.html                     the face to be turned in a browser, if asked for, or the avatar, if there is one
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from dfmvr.errors import ConfigError
from dfmvr.files import write_json, write_npz, writing
from dfmvr.geometry.meshes import Mesh, write_landmarks, write_mesh
from dfmvr.reconstruct.avatar.glb import write_avatar
from dfmvr.reconstruct.avatar.head import avatar_of
from dfmvr.reconstruct.avatar.paint import paints_of
from dfmvr.reconstruct.avatar.shown import shown_avatar
from dfmvr.reconstruct.export.numbers import arrays, document
from dfmvr.reconstruct.export.pictures import overlay, turntable
from dfmvr.reconstruct.export.texture import bake
from dfmvr.reconstruct.export.viewer import shown_face, write_viewer
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction
from dfmvr.reconstruct.sample_files import FORMATS, mesh_of

MAKER = "reconstruct"
"""Whose files these are in their folder, for `dfmvr.folders`."""

TEXTURES = ("photos", "albedo")
_ENCODING = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 90], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1]}


def export(  # noqa: PLR0913, what may be written
    folder: Path,
    face: Reconstruction,
    formats: Sequence[str] = FORMATS,
    *,
    viewer: bool = False,
    neutral: bool = False,
    texture: str = "photos",
    pictures: bool = True,
    avatar: bool = False,
) -> list[Path]:
    """Write everything of one face into an existing folder.

    Args:
        folder: where to.
        face: the face.
        formats: of the meshes, of `FORMATS`.
        viewer: write the page viewer.html too.
        neutral: write the meshes without expression too.
        texture: `photos`, baked from the photographs, or `albedo`, the model's own as colours of the vertices.
        pictures: write the overlays and the turntable.
        avatar: write the whole head, avatar.glb, too; the viewer then shows it.
    Returns:
        The files written.
    Raises:
        ConfigError: no such format or texture, or an avatar of a face model whose head is not known.
        OutputError: a file cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or texture not in TEXTURES:
        raise ConfigError(
            f"expected formats of {', '.join(FORMATS)} and a texture of {', '.join(TEXTURES)}, found "
            f"{', '.join(unknown) or texture}"
        )
    folder, mesh = Path(folder), coloured(face, texture)
    still = replace(mesh, vertices=face.neutral().vertices) if neutral or viewer else mesh
    for suffix in dict.fromkeys(formats):
        write_mesh(folder / f"face.{suffix}", mesh)
        if neutral:
            write_mesh(folder / f"neutral.{suffix}", still)
    write_landmarks(folder / "face.landmarks.csv", face.vertices[face.model.alignment.numpy()])
    write_json(folder / "face.json", document(face))
    write_npz(folder / "face.npz", **arrays(face))
    if pictures:
        _write_pictures(folder, face, mesh)
    shown = shown_face(mesh, still.vertices)
    if avatar:
        head = avatar_of(face)
        paints = paints_of(face, head, from_photos=texture == "photos")
        write_avatar(folder / "avatar.glb", head, paints)
        shown = shown_avatar(head, paints)
    if viewer:
        write_viewer(folder / "viewer.html", *shown, "Reconstructed face")
    views = [view.name for view in face.views]
    options = {"viewer": viewer, "neutral": neutral, "texture": texture, "pictures": pictures, "avatar": avatar}
    return [folder / name for name in names_of_files(views, formats, **options)]


def names_of_files(
    views: Sequence[str],
    formats: Sequence[str] = FORMATS,
    *,
    viewer: bool = False,
    neutral: bool = False,
    texture: str = "photos",
    pictures: bool = True,
    avatar: bool = False,
) -> list[str]:
    """The names of the files that `export` writes for a face of these views."""
    names = []
    for stem in ("face", "neutral") if neutral else ("face",):
        for suffix in dict.fromkeys(formats):
            names.append(f"{stem}.{suffix}")
            if suffix == "obj" and texture == "photos":
                names += [f"{stem}.mtl", f"{stem}.png"]
    names += ["face.landmarks.csv", "face.json", "face.npz"]
    if pictures:
        names += [*(f"overlay_{view}.jpg" for view in views), "turntable.png"]
    return names + ["avatar.glb"] * avatar + ["viewer.html"] * viewer


def coloured(face: Reconstruction, texture: str = "photos") -> Mesh:
    """The face's mesh, mm, with its texture and the same colours at its vertices; see `export`."""
    if texture == "albedo":
        return mesh_of(face.model, face.coefficients, displacement=face.displacement)
    baked = bake(face)
    return Mesh(face.vertices, face.triangles, baked.vertices, baked.texture)


def _write_pictures(folder: Path, face: Reconstruction, mesh: Mesh) -> None:
    colours = mesh.colours if mesh.colours is not None else face.albedo
    images = {folder / f"overlay_{view.name}.jpg": overlay(face, view) for view in face.views}
    images[folder / "turntable.png"] = turntable(face, mesh.texture, colours)
    for path, image in images.items():
        with writing(path) as partial:
            partial.write_bytes(cv2.imencode(path.suffix, image[..., ::-1], _ENCODING[path.suffix])[1].tobytes())
