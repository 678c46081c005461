"""From coefficients to what the three cameras see: Eq. 1, pose, lighting, rendering."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.geometry.camera import pose, project
from dfmvr.geometry.normals import vertex_normals
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.rendering.rasterizer import Fragments
from dfmvr.rendering.renderer import render
from dfmvr.rendering.shading import shade
from dfmvr.rendering.silhouette import with_silhouette_gradient


class Views(NamedTuple):
    """A batch of B faces in V views. Without a rendering, all but vertices and landmarks are None."""

    vertices: Tensor  # (B, N, 3) mm, the model's frame, expression included
    landmarks: Tensor  # (B, V, 68, 2) pixels
    image: Tensor | None = None  # (B, V, 3, S, S), unclamped, 0 at background
    alpha: Tensor | None = None  # (B, V, S, S), 1 where the face is seen; without gradient
    albedo: Tensor | None = None  # (B, N, 3)
    lit: Tensor | None = None  # (B, V, N, 3), the albedo under each view's light, unclamped
    posed: Tensor | None = None  # (B, V, N, 3) mm, each view's frame
    fragments: Fragments | None = None  # of B V images


def see_landmarks(model: MorphableModel, coefficients: Coefficients, image_size: int) -> tuple[Tensor, Tensor]:
    """Place every face and its 68 landmarks, without rendering.

    Returns:
        Vertices (B, N, 3) mm in the model's frame, and landmarks (B, V, 68, 2) in pixels.
    """
    vertices = model.shape(coefficients.identity, coefficients.expression)
    points = pose(vertices[:, None, model.landmarks_68], coefficients.angles, coefficients.translation)
    return vertices, project(points, image_size)[..., :2]


def render_views(
    model: MorphableModel,
    coefficients: Coefficients,
    image_size: int,
    rendered: bool = True,
    normals_of: Callable[[Tensor, Tensor], Tensor] = vertex_normals,
) -> Views:
    """Render every face in every view.

    Args:
        model: the face model, fine or coarse.
        coefficients: of B faces in V views.
        image_size: width and height in pixels.
        rendered: False finds the landmarks only, at half the cost.
        normals_of: from vertices and triangles to the vertices' normals.
    Returns:
        Images and landmarks, differentiable in all coefficients.
    """
    _, _, texture, lighting, angles, translation = coefficients
    batch, views = angles.shape[:2]
    vertices, landmarks = see_landmarks(model, coefficients, image_size)
    if not rendered:
        return Views(vertices, landmarks)
    # Normals turn with the face: one set for the neutral pose, rotated into each view, since lighting is per view.
    # Code: the released code has one lighting and rotates them with the right view's rotation for all views; that is
    # `train.released.shared_lighting`, which tells the same light to each view in its own frame.
    normals = (euler_to_rotmat(angles) @ normals_of(vertices, model.triangles).transpose(-1, -2)[:, None]).mT
    albedo = model.albedo(texture)
    of_views = albedo[:, None].expand(-1, views, -1, -1)
    colours = shade(of_views.flatten(0, 1), normals.flatten(0, 1), lighting.flatten(0, 1))
    posed = pose(vertices[:, None], angles, translation)
    image, alpha, fragments = render(posed.flatten(0, 1), model.triangles, colours, image_size)
    image, alpha, colours = (values.unflatten(0, (batch, views)) for values in (image, alpha[:, 0], colours))
    return Views(vertices, landmarks, image, alpha, albedo, colours, posed, fragments)


def outlined(views: Views, triangles: Tensor, image_size: int) -> Tensor:
    """The images (B, V, 3, S, S) of rendered views, differentiable in what moves the faces' silhouettes too."""
    projected = project(views.posed.flatten(0, 1), image_size)
    image = with_silhouette_gradient(views.image.flatten(0, 1), views.fragments, projected, triangles)
    return image.view_as(views.image)


def coarse_for(model: MorphableModel, image_size: int) -> MorphableModel:
    """The coarse mesh where its triangles (some 2 mm a side) are still below two pixels, else the model itself.

    ASSUME: a face of 1 px/mm at 224 px; beyond 224 px the fine mesh is needed.
    """
    return model.coarse() if image_size <= 224 and len(model.coarse_triangles) else model
