"""Rasterisation of triangle meshes in plain PyTorch: which triangle a pixel shows, where in it, and how far away.

Two passes. `visible_faces` finds the nearest triangle of every pixel, without gradient. `locate` then recomputes the
barycentric coordinates and the depth of the winners from their corners, with gradient, so that gradients of an image
reach vertices, pose and vertex attributes. What a pixel shows changes only inside its triangle: like any rasteriser
without blur, this one has no gradient for silhouettes and occlusion boundaries.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dfmvr.errors import DataError
from dfmvr.rendering.visibility import edge_areas, visible_faces, where


class Fragments(NamedTuple):
    """What each pixel shows. Background: face -1, barycentric coordinates and depth 0."""

    pix_to_face: Tensor  # (B, H, W) int64, index of the triangle in its own mesh, -1 for background
    bary: Tensor  # (B, H, W, 3) perspective-correct barycentric coordinates of the pixel's centre
    depth: Tensor  # (B, H, W) mm from the camera along its axis


class Hits(NamedTuple):
    """The covered pixels alone, M of them in all images together."""

    pixel: Tensor  # (M,) int64, flat index into (B, H, W)
    corner: Tensor  # (3, M) int64, the triangle's corners, flat indices into (B, V)
    bary: Tensor  # (3, M)
    depth: Tensor  # (M,) mm


def rasterize(
    projected: Tensor, triangles: Tensor, image_size: int | tuple[int, int], cull_backfaces: bool = False
) -> Fragments:
    """Find the nearest triangle at every pixel centre; one face a pixel, no blur, no anti-aliasing.

    A pixel is covered if its centre lies in the projected triangle or on its border. The nearest triangle wins; among
    those whose depths are equal in float32, the one with the lowest index. Triangles that are degenerate, have a corner
    that is not finite or is nearer than 1 mm (`NEAR_MM`) to the camera plane are dropped whole.

    Args:
        projected: (B, V, 3) pixel x, pixel y, depth in mm, as from `dfmvr.geometry.camera.project`.
        triangles: (F, 3) integers, shared by all meshes of the batch.
        image_size: width and height, or (height, width), in pixels.
        cull_backfaces: drop triangles whose corners run clockwise as seen from the camera.
    Returns:
        Fragments; `bary` and `depth` are differentiable in `projected`. No gradient flows for silhouettes.
    Raises:
        DataError: wrong shapes, or a triangle names a vertex that is not there.
    Source: the fields mean what PyTorch3D's Fragments mean, but the face index counts within one mesh,
        the background's coordinates are 0 instead of -1, and depth is in mm.
    """
    faces, hits = rasterize_hits(projected, triangles, image_size, cull_backfaces)
    return fragments_of(faces, hits)


def rasterize_hits(
    projected: Tensor, triangles: Tensor, image_size: int | tuple[int, int], cull_backfaces: bool = False
) -> tuple[Tensor, Hits]:
    """`rasterize`, with the covered pixels alone: the faces (B, H, W) and the `Hits`."""
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    _check(projected, triangles, size)
    faces = visible_faces(projected.detach(), triangles, size, cull_backfaces)
    return faces, locate(projected, triangles, faces)


def fragments_of(faces: Tensor, hits: Hits) -> Fragments:
    """The fragments whose faces are (B, H, W) and whose covered pixels are `hits`."""
    planes = scatter_pixels(hits, torch.cat((hits.bary, hits.depth[None])), tuple(faces.shape))
    return Fragments(faces, planes[:3].permute(1, 2, 3, 0), planes[3])


def interpolate(fragments: Fragments, triangles: Tensor, attributes: Tensor) -> Tensor:
    """Interpolate vertex attributes at the pixels.

    Args:
        fragments: from `rasterize`.
        triangles: (F, 3), those given to `rasterize`.
        attributes: (B, V, C) of any meaning.
    Returns:
        (B, H, W, C), 0 at background; differentiable in the attributes and, through `fragments.bary`, in the vertices.
    """
    hits = hits_of(fragments, triangles, attributes.shape[1])
    planes = scatter_pixels(hits, interpolate_hits(hits, attributes), tuple(fragments.pix_to_face.shape))
    return planes.permute(1, 2, 3, 0)


def hits_of(fragments: Fragments, triangles: Tensor, vertex_count: int) -> Hits:
    """The covered pixels of fragments, of meshes of so many vertices."""
    pixel, corner = _corners(fragments.pix_to_face, triangles, vertex_count)
    bary = fragments.bary.reshape(-1, 3).index_select(0, pixel).T
    return Hits(pixel, corner, bary, fragments.depth.reshape(-1).index_select(0, pixel))


def locate(projected: Tensor, triangles: Tensor, pix_to_face: Tensor) -> Hits:
    """Barycentric coordinates and depth of each covered pixel, differentiable in the vertices.

    Args:
        projected: (B, V, 3) pixel x, pixel y, depth mm.
        triangles: (F, 3).
        pix_to_face: (B, H, W) from `visible_faces`.
    """
    height, width = pix_to_face.shape[1:]
    pixel, corner = _corners(pix_to_face, triangles, projected.shape[1])
    x, y, depth = gather_corners(projected, corner)
    within = pixel % (height * width)
    row = torch.div(within, width, rounding_mode="floor")
    dx = x - ((within - row * width).to(x.dtype) + 0.5)
    dy = y - (row.to(x.dtype) + 0.5)
    area = torch.stack(edge_areas(dx, dy))
    with torch.no_grad():
        # of triangles seen almost edge on, rounding may leave no area at all: their pixels show the corners' mean
        sound = (area / area.sum(0)).amin(0) > -0.01
    area = area.where(sound, 1)
    weight = area / depth
    total = weight.sum(0)
    return Hits(pixel, corner, weight / total, area.sum(0) / total)


def gather_corners(values: Tensor, corner: Tensor) -> Tensor:
    """Pick vertex values (B, V, C) at flat corner indices (3, M): (C, 3, M)."""
    # one plane a channel: both this and its backward, a scatter-add, are several times faster than on rows of C
    planes = values.reshape(-1, values.shape[-1]).T.contiguous()
    return planes.gather(1, corner.reshape(1, -1).expand(planes.shape[0], -1)).view(planes.shape[0], *corner.shape)


def interpolate_hits(hits: Hits, attributes: Tensor) -> Tensor:
    """Interpolate (B, V, C) at the covered pixels: (C, M)."""
    first, second, third = gather_corners(attributes, hits.corner).unbind(1)
    return first * hits.bary[0] + second * hits.bary[1] + third * hits.bary[2]


def scatter_pixels(hits: Hits, values: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Put values (C, M) of the covered pixels into images (C, B, H, W) that are 0 elsewhere."""
    batch, height, width = shape
    planes = values.new_zeros((values.shape[0], batch * height * width))
    return planes.scatter(1, hits.pixel.expand(values.shape[0], -1), values).view(values.shape[0], batch, height, width)


def _check(projected: Tensor, triangles: Tensor, size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise DataError(f"image_size: expected at least 1 x 1 pixels, found {size}")
    if projected.ndim != 3 or projected.shape[-1] != 3 or not projected.is_floating_point():
        raise DataError(f"vertices: expected floats (B, V, 3), found {projected.dtype} {tuple(projected.shape)}")
    if triangles.ndim != 2 or triangles.shape[-1] != 3 or triangles.is_floating_point():
        raise DataError(f"triangles: expected integers (F, 3), found {triangles.dtype} {tuple(triangles.shape)}")
    if triangles.numel() and not (0 <= int(triangles.min()) and int(triangles.max()) < projected.shape[1]):
        raise DataError(
            f"triangles: expected vertex indices from 0 to {projected.shape[1] - 1}, found "
            f"{int(triangles.min())} to {int(triangles.max())}; use the triangles of the same mesh"
        )


def _corners(pix_to_face: Tensor, triangles: Tensor, vertex_count: int) -> tuple[Tensor, Tensor]:
    """Flat indices of the covered pixels (M,) and of their triangles' corners (3, M) in (B, V)."""
    flat = pix_to_face.reshape(-1)
    pixel = where(flat >= 0)
    face = flat.index_select(0, pixel)
    image = torch.div(pixel, pix_to_face.shape[1] * pix_to_face.shape[2], rounding_mode="floor")
    return pixel, triangles.long().T.contiguous().index_select(1, face) + image * vertex_count
