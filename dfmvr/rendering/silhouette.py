"""The gradient that rasterisation lacks: a silhouette that moves covers or uncovers pixels.

The image stays as it is. Its derivative gains what a small motion of the silhouette does: the strip that the surface's
edge sweeps has the surface's colour in place of the background's. Half of it goes to the pixel on either side, as the
edge runs somewhere between their centres. Edges of the surface before itself are left out.
Source: the idea that edges alone need another derivative is that of Li et al. 2018, "Differentiable Monte Carlo ray
tracing through edge sampling", and of Laine et al. 2020, "Modular primitives for high-performance differentiable
rendering"; this one follows the surface's points, since triangles here are smaller than pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dfmvr.rendering.rasterizer import Fragments, gather_corners, hits_of, scatter_pixels


def with_silhouette_gradient(image: Tensor, fragments: Fragments, projected: Tensor, triangles: Tensor) -> Tensor:
    """The same image, differentiable in what moves its silhouette too.

    Args:
        image: (B, C, H, W), 0 at background.
        fragments: of the image.
        projected: (B, V, 3) pixel x, pixel y, depth mm, of the vertices.
        triangles: (F, 3).
    Returns:
        (B, C, H, W), equal to the image.
    """
    hits = hits_of(fragments, triangles, projected.shape[1])
    x, y, depth = gather_corners(projected, hits.corner)
    # a point of the surface: in space its place is linear in the corners', hence its pixel is after division by depth
    share = hits.bary.detach() * depth
    place = torch.stack([(share * value).sum(0) for value in (x, y)]) / share.sum(0)
    moved = scatter_pixels(hits, place - place.detach(), tuple(fragments.pix_to_face.shape))  # zeros, with a gradient
    covered, colour, change = fragments.pix_to_face >= 0, image.detach(), torch.zeros_like(image)
    for axis, motion in ((2, moved[0]), (1, moved[1])):
        size = covered.shape[axis]
        for sign, inner, outer in ((1, 0, 1), (-1, 1, 0)):  # the background right of or below the edge, or before it
            inside, beyond = (covered.narrow(axis, start, size - 1) for start in (inner, outer))
            edge = (sign / 2 * motion.narrow(axis, inner, size - 1) * (inside & ~beyond))[:, None]
            swept = edge * colour.narrow(axis + 1, inner, size - 1)
            for start in (inner, outer):
                change.narrow(axis + 1, start, size - 1).add_(swept)
    return image + change
