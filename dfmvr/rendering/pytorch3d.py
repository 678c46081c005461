"""PyTorch3D's rasteriser behind our interface; PyTorch3D is optional."""

from __future__ import annotations

import torch
from torch import Tensor

from dfmvr.errors import UnavailableError
from dfmvr.geometry.camera import project
from dfmvr.rendering.rasterizer import Fragments


def rasterize_pytorch3d(
    vertices: Tensor, triangles: Tensor, image_size: int, cull_backfaces: bool = False
) -> Fragments:
    """`dfmvr.rendering.rasterize` of posed vertices, done by PyTorch3D.

    Args and returns: vertices (B, V, 3) mm, posed; else as there.
    Raises:
        UnavailableError: PyTorch3D is not installed.
    Source: pytorch3d.renderer.mesh.rasterize_meshes; its image plane has x to the left, y up, and spans [-1, 1].
    """
    try:
        from pytorch3d.renderer.mesh import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise UnavailableError(
            f"backend 'pytorch3d': PyTorch3D cannot be imported ({error}); install it (conda-forge has builds) or use "
            "backend 'torch'"
        ) from error
    x, y, depth = project(vertices, image_size).unbind(-1)
    half = image_size / 2
    screen = torch.stack((1 - x / half, 1 - y / half, depth), -1)
    meshes = Meshes(verts=list(screen), faces=list(triangles.long().expand(len(screen), -1, -1)))
    faces, zbuf, bary, _ = rasterize_meshes(
        meshes,
        image_size=image_size,
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
        cull_backfaces=cull_backfaces,
    )
    seen = faces[..., 0] >= 0
    return Fragments(
        torch.where(seen, faces[..., 0] % max(len(triangles), 1), -1),  # PyTorch3D counts through the batch
        bary[..., 0, :].where(seen[..., None], bary.new_zeros(())),
        zbuf[..., 0].where(seen, zbuf.new_zeros(())),
    )
