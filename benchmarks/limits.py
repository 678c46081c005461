"""Ask what keeps a network from learning shape, without training one; prints markdown.

    python benchmarks/limits.py [--results results] landmarks
    python benchmarks/limits.py [--results results] gradients
    python benchmarks/limits.py [--results results] grids
    python benchmarks/limits.py [--results results] networks CHECKPOINT...

`landmarks` minimises the landmark loss of Eq. 7 and the regularisation over coefficients and poses themselves: what a
network could find at best. `gradients` tells how long the gradient of each term in the identity is where a network
begins, and how much of it points to the truth. `grids` lets least squares answer identity and expression from
histograms of gradients on grids of several sizes, for several numbers of people. `networks` measures trained ones.

All are measured on the test people of the default study by points that correspond: `same point` is their mean distance
in mm after a similarity, `plane` the root mean square of its part along the normal after the similarity that makes it
least, both within 95 mm of the nose tip. `gap` is the part of the way from the mean face to the face model fitted to
the true points that is gone, with a 95 % interval over people; `l2d` and `px` are Eq. 4 and the landmarks' mean
distance in pixels of 224. `points` is the mean distance in mm of the 101 3D landmarks after a similarity, of these
people and, `learnt`, of 400 samples that networks were trained with.
"""

from __future__ import annotations

import argparse
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dfmvr.config.training import LossSection
from dfmvr.conventions import REFERENCE_SIZE_PX
from dfmvr.face_model.coefficients import Coefficients, mean_angles, mean_faces
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.views import coarse_for, render_views, see_landmarks
from dfmvr.geometry.camera import pose, project
from dfmvr.geometry.normals import vertex_normals
from dfmvr.geometry.similarity import fit_similarity
from dfmvr.losses import LossTarget, Prediction, landmark_2d_loss, landmark_3d_loss, rendered_losses
from dfmvr.mesh.scan import read_scan
from dfmvr.parse.parser import load_parser
from dfmvr.reconstruct.regression import read_regressor, regress
from dfmvr.train.samples import AlignedSamples, Batch

RADIUS_MM, NOSE_TIP = 95.0, 30
POSE_ALONE = 300.0
"""A regularisation that leaves the mean face as it is."""
POSE_UNITS = 0.2, torch.tensor((10.0, 10.0, 50.0))  # so that all that is looked for is of one size
WEIGHTS = LossSection()


class Study:
    """The default study's data, and how answers for its test people are measured."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.model = MorphableModel.load(results / "face_model" / "face_model.npz")
        self.train, self.test = (
            AlignedSamples(results / "align" / "pixel_face", results / "parse" / "pixel_face", split)
            for split in ("train", "test")
        )
        self.coarse = coarse_for(self.model, self.test.image_size)
        scans = [read_scan(results / "mesh" / "pixel_face" / "scans" / f"{name}.npz") for name in self.test.names]
        whole = torch.from_numpy(np.stack([scan.registered_vertices for scan in scans])).float()
        self.kept = torch.unique(self.model.coarse_triangles)
        normals = vertex_normals(whole[:, : self.model.coarse_vertices], self.model.coarse_triangles)
        self.truth, self.normals = whole[:, self.kept], normals[:, self.kept]
        tip = whole[:, self.model.landmarks_68[NOSE_TIP], None]
        self.near = torch.linalg.vector_norm(self.truth - tip, dim=-1) < RADIUS_MM
        self.basis = torch.cat((self.model.identity_basis, self.model.expression_basis))[:, self.kept].flatten(1)

    @cached_property
    def photographs(self) -> Batch:
        """All test samples."""
        return self.test.batch(np.arange(len(self.test)))

    def split(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Identity and expression."""
        return coefficients[:, : self.model.identity_size], coefficients[:, self.model.identity_size :]

    @cached_property
    def limits(self) -> tuple[Tensor, Tensor]:
        """Errors (2, N) of the mean face, and of the face model fitted to the true points."""
        none = torch.zeros(len(self.test), len(self.basis))
        return self.errors(none), self.errors(self.fit(self.truth, self.kept, 1.0, self.near))

    def fit(self, points: Tensor, places: Tensor, prior: float, near: Tensor | None = None) -> Tensor:
        """Coefficients (N, K + E) of faces whose vertices at `places` are points (N, P, 3) in any frame."""
        basis = torch.cat((self.model.identity_basis, self.model.expression_basis))[:, places].double()
        mean, found = self.model.mean[places].double(), []
        for i, seen in enumerate(points.double()):
            used = slice(None) if near is None else near[i]
            a, b = basis[:, used].flatten(1), torch.zeros(len(basis), dtype=torch.double)
            normal = a @ a.T + prior * torch.eye(len(basis))
            for _ in range(5):
                shape = mean[used] + (b @ a).view(-1, 3)
                aligned = fit_similarity(seen[used], shape).apply(seen[used])
                b = torch.linalg.solve(normal, a @ (aligned - mean[used]).flatten())
            found.append(b.float())
        return torch.stack(found)

    def errors(self, coefficients: Tensor) -> Tensor:
        """Errors (2, N) in mm of coefficients (N, K + E): along the normals, and of corresponding points."""
        shapes = self.model.mean[self.kept] + (coefficients @ self.basis).unflatten(1, (-1, 3))
        found = []
        for shape, truth, normals, near in zip(shapes, self.truth, self.normals, self.near, strict=True):
            points, truth, normals = shape[near], truth[near], normals[near]
            points = fit_similarity(points, truth).apply(points)
            same = torch.linalg.vector_norm(points - truth, dim=-1).mean()
            for _ in range(5):  # small turns, shifts and changes of size that make the distances along normals least
                centred = points - points.mean(0)
                moved = (torch.linalg.cross(centred, normals), normals, (centred * normals).sum(-1, keepdim=True))
                step = torch.linalg.lstsq(torch.cat(moved, 1), ((truth - points) * normals).sum(-1)).solution
                turn = torch.linalg.matrix_exp(torch.linalg.cross(torch.eye(3), step[:3].expand(3, 3)).T)
                points = (1 + step[6]) * centred @ turn + points.mean(0) + step[3:6]
            plane = ((truth - points) * normals).sum(-1).square().mean().sqrt()
            found.append(torch.stack((plane, same)))
        return torch.stack(found, 1)

    def row(self, name: str, coefficients: Tensor, landmarks: Tensor | None = None) -> str:
        """A line of a table."""
        errors, (worst, best) = self.errors(coefficients), self.limits
        subjects = [str(name)[:5] for name in self.test.names]
        gaps = ((worst - errors) / (worst - best).mean(1, keepdim=True)).numpy()
        people = np.stack([gaps[:, [s == each for s in subjects]].mean(1) for each in dict.fromkeys(subjects)])
        draws = np.random.default_rng(0).integers(len(people), size=(2000, len(people)))
        low, high = np.percentile(people[draws].mean(1), (2.5, 97.5), axis=0)
        plane, same = errors.mean(1).tolist()
        told = f"| {name} | {plane:.3f} | {gaps[0].mean():.2f} ({low[0]:.2f} to {high[0]:.2f}) | {same:.2f} |"
        if landmarks is not None:
            size, truth = self.test.image_size, self.photographs.landmarks
            px = torch.linalg.vector_norm(landmarks - truth, dim=-1).mean() * REFERENCE_SIZE_PX / size
            told += f" {landmark_2d_loss(landmarks, truth, size):.1f} | {px:.2f} |"
        return told


def beginning(model: MorphableModel, count: int) -> Coefficients:
    """What a fresh network answers: mean faces in the mean pose of each view."""
    faces = mean_faces(model, count)
    return faces._replace(angles=faces.angles + mean_angles())


HEAD = "| | plane, mm | gap | same point, mm |"


def optimum(study: Study, regularisation: float) -> tuple[Coefficients, Tensor]:
    """The coefficients, poses included, that make landmark loss and regularisation least, and their landmarks."""
    count, size, model = len(study.test), study.test.image_size, study.model
    start, truth = beginning(model, count), study.photographs.landmarks.double()
    mean, *bases = (
        part[..., model.landmarks_68, :].double() for part in (model.mean, model.identity_basis, model.expression_basis)
    )
    free = [torch.zeros_like(part, dtype=torch.double, requires_grad=True) for part in (*start[:2], *start[4:])]
    optimiser = torch.optim.LBFGS(free, max_iter=600, max_eval=900, history_size=20, line_search_fn="strong_wolfe")

    def seen() -> Tensor:
        offset = sum(part @ basis.flatten(1) for part, basis in zip(free, bases, strict=False))
        shape = mean + offset.unflatten(1, mean.shape)
        posed = pose(shape[:, None], start.angles + POSE_UNITS[0] * free[2], free[3] * POSE_UNITS[1])
        return project(posed, size)[..., :2]

    def loss() -> Tensor:
        optimiser.zero_grad()
        away = WEIGHTS.identity * free[0].square().sum() + WEIGHTS.expression * free[1].square().sum()
        total = count * WEIGHTS.landmark_2d * landmark_2d_loss(seen(), truth, size) + regularisation * away
        total.backward()
        return total

    optimiser.step(loss)
    with torch.no_grad():
        identity, expression, angles, translation = (part.float() for part in free)
        angles, translation = start.angles + POSE_UNITS[0] * angles, translation * POSE_UNITS[1]
        return Coefficients(identity, expression, *start[2:4], angles, translation), seen().float()


def landmarks(study: Study) -> None:
    """What the landmark loss could teach."""
    print(f"{HEAD} l2d | px |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    pose_alone = POSE_ALONE / WEIGHTS.regularisation
    for factor in (pose_alone, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3):
        found, seen = optimum(study, factor * WEIGHTS.regularisation)
        name = "pose alone" if factor == pose_alone else f"regularisation x {factor:g}"
        print(study.row(name, torch.cat(found[:2], 1), seen), flush=True)
    points, places = study.photographs.landmarks_3d, study.model.landmarks_101
    print(study.row("from the 101 true 3D landmarks", study.fit(points, places, 4.0)), "| |")


def gradients(study: Study) -> None:
    """Where each loss sends the identity of a fresh network's answer."""
    batch, size = study.photographs, study.test.image_size
    truth, _ = study.split(study.fit(study.truth, study.kept, 1.0, study.near))
    parser = load_parser(study.results / "parse" / "parser.safetensors", torch.device("cpu"))
    own, _ = optimum(study, POSE_ALONE)
    print("| pose | loss | value | length of the gradient | cosine with the truth | positive |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    noise = torch.randn(own.translation.shape, generator=torch.Generator().manual_seed(0))
    for name, off in (("the mean pose", None), ("the best pose", 0.0), ("off by 2 px in x and y", 2.0)):
        start = beginning(study.coarse, len(study.test))
        if off is not None:
            moved = own.translation + off * noise * torch.tensor((1.0, 1.0, 0.0))
            start = start._replace(angles=own.angles, translation=moved)
        start = start._replace(identity=start.identity.requires_grad_())
        views = render_views(study.coarse, start, size)
        points = views.vertices[:, study.coarse.landmarks_101]
        prediction = Prediction(views.image, views.alpha, views.landmarks, points, start)
        target = LossTarget(batch.images, batch.masks, batch.weights, batch.landmarks, batch.landmarks_3d)
        photo, mask = rendered_losses(prediction, target, parser)
        terms = {
            "photo": WEIGHTS.photo * photo,
            "mask": WEIGHTS.mask * mask,
            "2D landmarks": WEIGHTS.landmark_2d * landmark_2d_loss(views.landmarks, batch.landmarks, size),
            "3D landmarks": WEIGHTS.landmark_3d * landmark_3d_loss(points, batch.landmarks_3d),
        }
        for loss, value in terms.items():
            gradient = len(truth) * torch.autograd.grad(value, start.identity, retain_graph=True)[0]
            cosine = torch.cosine_similarity(-gradient, truth)
            length = torch.linalg.vector_norm(gradient, dim=1).mean()
            told = f"{value.item():.3f} | {length:.3f} | {cosine.mean():.2f} | {(cosine > 0).float().mean():.0%}"
            print(f"| {name} | {loss} | {told} |", flush=True)


def histograms(image: np.ndarray, cell: int) -> np.ndarray:
    """Histograms of gradients over eight directions on a grid, each normalised by its neighbourhood."""
    grey = np.log(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) + 8)
    x, y = (cv2.Sobel(grey, cv2.CV_32F, *way, ksize=1) for way in ((1, 0), (0, 1)))
    turn = np.arctan2(y, x) % (2 * np.pi) / (2 * np.pi) * 8
    first, part, length = np.floor(turn).astype(int) % 8, turn % 1, np.hypot(x, y)
    shares = [length * ((first == k) * (1 - part) + ((first + 1) % 8 == k) * part) for k in range(8)]
    blurred = [cv2.GaussianBlur(share, (0, 0), 0.6 * cell) for share in shares]
    side = len(image) // cell
    grid = np.stack([cv2.resize(share, (side, side), interpolation=cv2.INTER_AREA) for share in blurred])
    return (grid / (cv2.GaussianBlur(np.linalg.norm(grid, axis=0), (0, 0), 1.5) + 0.02)).ravel()


def seen_by(batch: Batch, cell: int) -> np.ndarray:
    """Histograms (B, F) of all views."""
    images = (255 * batch.images).round().byte().permute(0, 1, 3, 4, 2).numpy()
    return np.stack([np.concatenate([histograms(view, cell) for view in views]) for views in images])


def grids(study: Study) -> None:
    """What least squares find, which are never in want of steps."""
    batch = study.train.batch(np.arange(len(study.train)))
    wanted = study.fit(batch.landmarks_3d, study.model.landmarks_101, 4.0).numpy()
    marks = batch.landmarks.flatten(1).numpy()
    print(f"{HEAD} l2d | px |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for cell in (2, 4, 8, 16):
        known, asked = seen_by(batch, cell), seen_by(study.photographs, cell)
        for samples in (100, 200, 400, 800) if cell == 2 else (800,):
            centre = known[:samples].mean(0)
            a, b = known[:samples] - centre, asked - centre
            gram = a @ a.T
            weights = b @ a.T @ np.linalg.inv(gram + 0.2 * np.trace(gram) / samples * np.eye(samples))
            shape, seen = (
                torch.from_numpy(weights @ (y[:samples] - y[:samples].mean(0)) + y[:samples].mean(0)).float()
                for y in (wanted, marks)
            )
            side = study.test.image_size // cell
            print(study.row(f"{side} x {side}, {samples // 2} people", shape, seen.view(-1, 3, 68, 2)), flush=True)


def answers(network: torch.nn.Module, batch: Batch) -> Coefficients:
    """What a network finds, asked for 16 samples at a time."""
    parts = [regress(network, batch.images[i : i + 16], batch.masks[i : i + 16]) for i in range(0, len(batch.seen), 16)]
    return Coefficients(*(torch.cat(part) for part in zip(*parts, strict=True)))


def distance_of_points(model: MorphableModel, found: Coefficients, truth: Tensor) -> float:
    """Mean distance, mm, of 3D landmarks to the true ones (N, 101, 3) after a similarity."""
    places, distances = model.landmarks_101, []
    basis = torch.cat((model.identity_basis, model.expression_basis))[:, places]
    for coefficients, points in zip(torch.cat(found[:2], 1), truth, strict=True):
        shape = model.mean[places] + (coefficients @ basis.flatten(1)).view(-1, 3)
        known = torch.isfinite(points).all(-1)
        moved = fit_similarity(shape[known], points[known]).apply(shape[known])
        distances.append(torch.linalg.vector_norm(moved - points[known], dim=-1).mean())
    return float(torch.stack(distances).mean())


def networks(study: Study, checkpoints: list[Path]) -> None:
    """What trained networks find."""
    batch, count = study.photographs, len(study.train)
    learnt = study.train.batch(np.random.default_rng(0).permutation(count)[:400])
    print(f"{HEAD} l2d | px | points | learnt |\n|{' --- |' + 7 * ' ---: |'}")
    for path in checkpoints:
        network = read_regressor(path, study.model).network
        found = answers(network, batch)
        seen = see_landmarks(study.coarse, found, study.test.image_size)[1]
        known = answers(network, learnt)
        points, same = (
            distance_of_points(study.model, *one) for one in ((found, batch.landmarks_3d), (known, learnt.landmarks_3d))
        )
        print(study.row(str(path), torch.cat(found[:2], 1), seen), f"{points:.2f} | {same:.2f} |", flush=True)


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="of the default study")
    parser.add_argument("what", choices=("landmarks", "gradients", "grids", "networks"))
    parser.add_argument("checkpoints", type=Path, nargs="*", help="weights.safetensors of trainings")
    args = parser.parse_args()
    torch.set_num_threads(1)
    study = Study(args.results)
    rest = [args.checkpoints] if args.what == "networks" else []
    globals()[args.what](study, *rest)


if __name__ == "__main__":
    main()
