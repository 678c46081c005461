"""A small morphable model in closed form, and photographs of its faces whose coefficients are known."""

import numpy as np
import torch
from analytic_face import SEVEN, face

from dfmvr.conventions import ALIGNMENT_IN_101, DROPPED_FROM_106
from dfmvr.face_model.coefficients import MEAN_YAW_DEG, Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.views import render_views

SIZES = {"identity_size": 6, "expression_size": 4, "texture_size": 5}


def _smooth_fields(rng, vertices, count, amplitude):
    """Smooth random vector fields (count, V, 3) over the face, of the given root mean square."""
    waves = rng.normal(size=(count, 3, 4, 2)) / 60
    phases = rng.uniform(0, 2 * np.pi, (count, 3, 4))
    fields = np.sin(np.einsum("kcwd,vd->kcwv", waves, vertices[:, :2]) + phases[..., None]).sum(2).transpose(0, 2, 1)
    return amplitude * fields / np.sqrt(np.square(fields).mean((1, 2), keepdims=True))


def toy_arrays(n=40, seed=0):
    rng = np.random.default_rng(seed)
    vertices, triangles, _ = face(n)
    vertices = vertices - vertices.mean(0)
    plane = vertices[:, :2] + face(n)[0].mean(0)[:2]
    seven = np.array([np.square(plane - point).sum(1).argmin() for point in SEVEN])
    others = rng.choice(len(vertices), 106, replace=False)
    kept = np.setdiff1d(np.arange(106), DROPPED_FROM_106)
    others[kept[list(ALIGNMENT_IN_101)]] = seven
    landmarks_68 = rng.choice(len(vertices), 68, replace=False)
    landmarks_68[[36, 39, 42, 45, 30, 48, 54]] = seven
    return {
        "mean": vertices,
        "identity": _smooth_fields(rng, vertices, SIZES["identity_size"], 3.0),
        "expression": _smooth_fields(rng, vertices, SIZES["expression_size"], 1.5),
        "albedo_mean": np.clip(0.6 + 0.15 * np.sin(vertices / 9), 0, 1),
        "albedo": _smooth_fields(rng, vertices, SIZES["texture_size"], 0.05),
        "triangles": triangles,
        "coarse_triangles": np.zeros((0, 3), int),
        "coarse_vertices": np.array(0),
        "labels": np.where(np.abs(vertices[:, 0]) < 12, 6, 1),
        "regions": np.where(np.abs(vertices[:, 0]) < 12, 1, 0),
        "landmarks_68": landmarks_68,
        "landmarks_106": others,
        "expression_names": np.array([f"e{i}" for i in range(SIZES["expression_size"])]),
        "name": np.array("toy"),
    }


def toy_model(n=40, seed=0):
    return MorphableModel(toy_arrays(n, seed))


def toy_coefficients(count, seed=1):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, scale=1.0):
        return scale * torch.randn(shape, generator=generator)

    angles = normal(count, 3, 3, scale=0.05)
    angles[..., 1] += torch.deg2rad(torch.tensor(list(MEAN_YAW_DEG.values())))
    return Coefficients(
        *(normal(count, SIZES[f"{name}_size"]) for name in ("identity", "expression", "texture")),
        normal(count, 3, 9, 3, scale=0.05),
        angles,
        normal(count, 3, 3, scale=3.0),
    )


def toy_samples(folder, count=4, size=48, seed=1, split="train"):
    """Write aligned and parsed samples of known faces as the stages do; gives the model and the coefficients."""
    model, truth = toy_model(), toy_coefficients(count, seed)
    views = render_views(model, truth, size)
    images = (views.image.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()
    masks = views.alpha.to(torch.uint8).numpy()
    aligned, parsed = folder / "align", folder / "parse"
    aligned.mkdir(parents=True)
    parsed.mkdir()
    np.save(aligned / "images.npy", images)
    np.save(parsed / "masks.npy", masks)
    np.save(parsed / "weights.npy", np.where(masks > 0, 128, 32).astype(np.uint8))
    np.savez(
        aligned / "samples.npz",
        landmarks=views.landmarks.numpy(),
        landmarks_3d=views.vertices[:, model.landmarks_101].numpy(),
        crop=np.zeros((count, 3, 2, 3), np.float32),
        sample=np.array([f"s{i}" for i in range(count)]),
        subject=np.array([f"p{i}" for i in range(count)]),
        split=np.array([split] * count),
    )
    return model, truth
