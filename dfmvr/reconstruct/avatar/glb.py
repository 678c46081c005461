"""The file of an avatar: binary glTF 2.0 without extensions, metres, y up.

In     an `Avatar` and how its parts are painted.
Gives  avatar.glb: a node for the head and, under it, one for every other part; eyeballs turn about their node's place.
       A mesh's morph targets have ARKit's names in `extras.targetNames`, of the head all 52; its weights are the
       expression that the face was given.

Targets are sparse: what one moves by less than `LEAST_MM` or turns by less than `LEAST_TURN` is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfmvr.files import writing
from dfmvr.geometry.gltf import GlbFile, upright
from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.textured import Texture
from dfmvr.geometry.vectors import length
from dfmvr.reconstruct.avatar.avatar import HEAD, Avatar, Part

LEAST_MM = 0.02
"""ASSUME: what moves by less than this looks still."""

LEAST_TURN = 0.05
"""ASSUME: and light on what turns by less than this, the length by which a normal changes. Without a limit the normals
would nearly double the file."""

_METRES = np.float32(1e-3)


class Paint(NamedTuple):
    """How a part looks."""

    image: np.ndarray | None = None  # (H, W, 3) uint8 sRGB-encoded, for the part's unwrapping
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)  # in linear light; times the image, if there is one
    roughness: float = 1.0  # 0 mirrors, 1 is matt


def write_avatar(path: Path | str, avatar: Avatar, paints: Mapping[str, Paint]) -> None:
    """Write an avatar, atomically.

    Args:
        path: of the GLB file.
        avatar: the parts.
        paints: of each part by its name.
    Raises:
        OutputError: the file cannot be written.
    """
    content = avatar_bytes(avatar, paints)
    with writing(Path(path)) as partial:
        partial.write_bytes(content)


def avatar_bytes(avatar: Avatar, paints: Mapping[str, Paint]) -> bytes:
    """The file's bytes (see `write_avatar`)."""
    file, meshes, materials, nodes = GlbFile(), [], [], []
    for number, part in enumerate(avatar.parts):
        names = list(avatar.weights) if part.name == HEAD else [name for name in avatar.weights if name in part.targets]
        primitive = _surface(file, part, names)
        materials.append(_material(file, part, paints[part.name]))
        meshes.append({"name": part.name, "primitives": [primitive | {"material": number}]})
        if names:
            weights = [round(avatar.weights[name], 4) for name in names]
            meshes[-1] |= {"weights": weights, "extras": {"targetNames": names}}
        nodes.append({"name": part.name, "mesh": number})
        if part.pivot is not None:
            nodes[-1]["translation"] = (part.pivot * _METRES).tolist()
    if len(nodes) > 1:
        nodes[0]["children"] = list(range(1, len(nodes)))
    return file.encode({"meshes": meshes, "materials": materials, "nodes": nodes})


def _surface(file: GlbFile, part: Part, names: list[str]) -> dict[str, Any]:
    """A part's mesh with the targets of these names."""
    rows = part.unwrapping.vertex
    origin = np.zeros(3, np.float32) if part.pivot is None else part.pivot
    place = ((part.vertices - origin) * _METRES).astype("<f4")
    normals = upright(mesh_normals(part.vertices.astype(np.float64), part.triangles))
    attributes = {
        "POSITION": file.add(place[rows], bounds=True),
        "NORMAL": file.add(normals[rows]),
        "TEXCOORD_0": file.add_places(part.unwrapping.uv),
    }
    still, targets = np.zeros_like(place), []
    for name in names:
        moved = part.targets.get(name, still)
        turned = upright(mesh_normals((part.vertices + moved).astype(np.float64), part.triangles)) - normals
        fields = {"POSITION": (moved * _METRES, LEAST_MM * _METRES), "NORMAL": (turned, LEAST_TURN)}
        targets.append({attribute: _told(file, field[rows], least) for attribute, (field, least) in fields.items()})
    primitive = {"attributes": attributes, "indices": file.add_corners(part.unwrapping.triangles)}
    return primitive | ({"targets": targets} if targets else {})


def _told(file: GlbFile, field: np.ndarray, least: float) -> int:
    """The accessor of a target's field (N, 3), where it is no shorter than `least`."""
    return file.add_sparse(field.astype("<f4"), np.flatnonzero(length(field) >= least))


def _material(file: GlbFile, part: Part, paint: Paint) -> dict[str, Any]:
    """How light falls on a part; the head, which is open below, has two sides."""
    light: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": paint.roughness}
    if paint.image is not None:
        light["baseColorTexture"] = {"index": file.add_texture(Texture(paint.image, part.unwrapping).jpeg)}
    if paint.colour != Paint().colour:
        light["baseColorFactor"] = [*paint.colour, 1.0]
    return {"name": part.name, "pbrMetallicRoughness": light, "doubleSided": part.name == HEAD}
