"""What two views of one face must agree on: covisible surface, colours carried over, depth, epipolar geometry.

M pairs of a target and a source view; S pixels a side; pixels, millimetres and poses as in `dfmvr.conventions`.

Source: Shang et al. 2020 (MGCNet), section 3.3; Hartley and Zisserman 2004, chapter 9.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dfmvr.conventions import CAMERA_DISTANCE_MM
from dfmvr.geometry.camera import focal_px, project
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.rendering.visibility import visible_faces

SMALLEST_BASELINE_MM = 10.0
"""ASSUME: views whose cameras are much nearer to each other than this do not constrain each other: two cameras in one
place, as a fresh network answers, have no epipolar lines. Cameras 35 degrees apart are 600 mm apart."""

_SEEN = 1 - 1e-4  # bilinear weight of pixels that show the face, from which on all four do


class Pose(NamedTuple):
    """How a view has the face, see `dfmvr.geometry.camera.pose`."""

    angles: Tensor  # (..., 3) radians
    translation: Tensor  # (..., 3) mm


class Motion(NamedTuple):
    """A rigid motion x' = R x + t from what the target's camera sees to what the source's sees."""

    rotation: Tensor  # (..., 3, 3)
    translation: Tensor  # (..., 3) mm


def motion_between(target: Pose, source: Pose) -> Motion:
    """The motion that takes a face as posed for the target view to where the source view has it."""
    rotation = euler_to_rotmat(source.angles) @ euler_to_rotmat(target.angles).transpose(-1, -2)
    return Motion(rotation, source.translation - (rotation @ target.translation[..., None])[..., 0])


def move(points: Tensor, motion: Motion) -> Tensor:
    """Move points (..., N, 3)."""
    return points @ motion.rotation.transpose(-1, -2) + motion.translation[..., None, :]


def move_back(points: Tensor, motion: Motion) -> Tensor:
    """Undo `move`."""
    return (points - motion.translation[..., None, :]) @ motion.rotation


def pixel_centres(image_size: int, like: Tensor) -> Tensor:
    """Centres (S, S, 2) of the pixels, x and y."""
    steps = torch.arange(image_size, device=like.device, dtype=like.dtype) + 0.5
    return torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)


def backproject(pixels: Tensor, depth: Tensor, image_size: int) -> Tensor:
    """Points (..., 3) mm that a camera sees at pixels (..., 2) and depth (...) mm; inverse of `camera.project`."""
    x, y = ((pixels - image_size / 2) * (depth / focal_px(image_size))[..., None]).unbind(-1)
    return torch.stack((x, -y, CAMERA_DISTANCE_MM - depth), -1)


def follow(depth: Tensor, motion: Motion) -> Tensor:
    """Where the source view sees what the target view shows.

    Args:
        depth: (M, S, S) mm of the target view, 0 where it shows nothing.
        motion: from the target to the source, of M pairs.
    Returns:
        (M, S, S, 2) pixels of the source view, meaningless where the target shows nothing. Differentiable.
    """
    image_size = depth.shape[-1]
    # The background gets some depth, as what is masked afterwards must still have finite gradients.
    depth = torch.where(depth > 0, depth, CAMERA_DISTANCE_MM)
    points = move(backproject(pixel_centres(image_size, depth), depth, image_size).flatten(1, 2), motion)
    return project(points, image_size)[..., :2].view(*depth.shape, 2)


def sample(images: Tensor, pixels: Tensor) -> Tensor:
    """Bilinear interpolation of images (M, C, S, S) at pixels (M, h, w, 2), 0 beyond the image: (M, C, h, w)."""
    grid = 2 * pixels / images.shape[-1] - 1
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def carry_depth(depth: Tensor, pixels: Tensor, motion: Motion) -> tuple[Tensor, Tensor]:
    """The source's surface at the pixels that the target's came to, as deep as the target's camera would see it.

    Args:
        depth: (M, S, S) mm of the source view, 0 where it shows nothing.
        pixels: (M, h, w, 2) of the source view, from `follow`.
        motion: from the target to the source.
    Returns:
        Depth (M, h, w) mm from the target's camera, and whether the source shows the face there (M, h, w).
    """
    shown = (depth > 0)[:, None]
    known = sample(shown.to(depth.dtype), pixels)[:, 0] > _SEEN
    # Of a plane the inverse depth, not the depth, is linear in the image.
    inverse = torch.where(shown, 1 / torch.where(shown, depth[:, None], CAMERA_DISTANCE_MM), 1 / CAMERA_DISTANCE_MM)
    inverse = torch.where(known, sample(inverse, pixels)[:, 0], 1 / CAMERA_DISTANCE_MM)
    points = backproject(pixels, 1 / inverse, depth.shape[-1])
    back = move_back(points.flatten(1, 2), motion)[..., 2].view_as(inverse)
    return CAMERA_DISTANCE_MM - back, known


def visible_vertices(projected: Tensor, triangles: Tensor, image_size: int) -> Tensor:
    """Vertices of the triangles that an image shows from outside, and of their neighbours.

    The neighbours, as in the authors' code, close the gaps that triangles without a pixel's centre leave.

    Args:
        projected: (M, N, 3) pixels and depth, see `camera.project`.
        triangles: (F, 3), counter-clockwise seen from outside.
        image_size: of the image; it should have pixels enough to hit most triangles.
    Returns:
        (M, N) bool.
    """
    with torch.no_grad():
        triangles = triangles.long()
        faces = visible_faces(projected, triangles, (image_size, image_size)).flatten(1)
        shown = torch.zeros((len(faces), len(triangles) + 1), dtype=torch.bool, device=faces.device)
        image, face = shown.scatter(1, faces + 1, True)[:, 1:].nonzero(as_tuple=True)
        a, b, c = projected[image[:, None], triangles[face], :2].unbind(1)
        area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
        outside = area < 0  # counter-clockwise with y up is clockwise with y down
        seen = torch.zeros(projected.shape[:2], dtype=torch.bool, device=faces.device)
        seen[image[outside, None], triangles[face[outside]]] = True
        image, face = seen[:, triangles].any(-1).nonzero(as_tuple=True)
        seen[image[:, None], triangles[face]] = True
    return seen


def covisible(faces: Tensor, triangles: Tensor, visible: Tensor) -> Tensor:
    """Pixels of the target whose triangle the source sees too, with all its corners.

    Args:
        faces: (M, S, S) triangle that each pixel of the target shows, -1 for background.
        triangles: (F, 3).
        visible: (M, N) vertices that the source sees, from `visible_vertices`.
    Returns:
        (M, S, S) bool.
    """
    whole = visible[:, triangles.long()].all(-1)
    hit = whole.gather(1, faces.clamp_min(0).flatten(1)).view(faces.shape)
    return hit & (faces >= 0)


def fundamental_matrix(motion: Motion, image_size: int) -> Tensor:
    """F (..., 3, 3) with (u', v', 1) F (u, v, 1)^T = 0 for what the target shows at (u, v), the source at (u', v').

    Scaled so that the lines F (u, v, 1)^T have a normal of about the distance of the cameras in mm over the focal
    length in pixels.
    """
    like = motion.rotation
    focal, centre = focal_px(image_size), image_size / 2
    # From our camera at (0, 0, distance), which looks along -z with y up, to one at the origin with y down along z.
    flip = like.new_tensor([1.0, -1.0, -1.0])
    camera = like.new_tensor([0.0, 0.0, CAMERA_DISTANCE_MM])
    rotation = flip[:, None] * motion.rotation * flip
    x, y, z = (flip * (motion.rotation @ camera + motion.translation - camera)).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    inverse = like.new_tensor([[1 / focal, 0, -centre / focal], [0, 1 / focal, -centre / focal], [0, 0, 1]])
    return inverse.T @ cross @ rotation @ inverse


def epipolar_distance(target: Tensor, source: Tensor, motion: Motion, image_size: int) -> Tensor:
    """Distance of points to the epipolar lines of their partners, mean of both views.

    Args:
        target, source: (..., N, 2) pixels of the same points of the face.
        motion: from the target to the source.
    Returns:
        (..., N) pixels; for cameras less than some `SMALLEST_BASELINE_MM` apart it goes to 0.
    """
    matrix = fundamental_matrix(motion, image_size)
    floor = (SMALLEST_BASELINE_MM / focal_px(image_size)) ** 2
    here, there = (torch.cat((points, torch.ones_like(points[..., :1])), -1) for points in (target, source))
    lines_there, lines_here = here @ matrix.transpose(-1, -2), there @ matrix
    off = (lines_there * there).sum(-1).abs()
    normals = ((line[..., :2].square().sum(-1) + floor).rsqrt() for line in (lines_there, lines_here))
    return off * sum(normals) / 2
