"""The face model fitted to a scan: regularised least squares inside ICP.

Closest points of the scan on the model's surface, then one linear solve for identity, expression and pose together,
with a prior that is relaxed from phase to phase. It minimises what a protocol with the statistic `rms_point_to_plane`
measures: the point-to-plane distances of the scan in the protocol's crop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from dfmvr.config.evaluation import ProtocolSection
from dfmvr.face_model.model import MorphableModel
from dfmvr.geometry.surface import Surface, open_boundary
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import crop_sphere, in_sphere, inside_crop
from dfmvr.register.icp import ClosestPairs, Registration, SmallMotions, check_coverage, closest_pairs
from dfmvr.register.landmarks import align_landmarks, check_landmarks

MARGIN_MM, MARGIN_WEIGHT = 20.0, 0.05
"""Points up to so far beyond the crop count little: they keep the rim of the face at the scan and hardly move the
rest."""

NOMINAL_POINTS = 6000
"""Weights are such that every phase has as much to say as this number of points."""

POSE = 6
"""Numbers of a rigid motion. The size of a face is a matter of identity: with a free scale a fit drifts to faces of
other sizes, which protocols that keep the size would score by that."""


class FitPhase(NamedTuple):
    """A part of the fit with a prior of its own strength.

    ASSUME: what the model cannot express varies slowly over the face, so the distances of neighbouring points are
    alike; `alike` of them count as one independent measurement. The weight of the prior is that number times the mean
    squared distance found so far: it fades as the fit improves, and stays where a face is not one of the model's.
    """

    alike: float
    landmarks: float  # weight of a landmark, in points
    points: int  # points of the scan used, about
    steps: int
    fine: bool = False  # on the model's own mesh; else on the one a subdivision coarser, a quarter of the work


PHASES = (
    FitPhase(200.0, 20.0, 3000, 4),
    FitPhase(50.0, 5.0, 3000, 3),
    FitPhase(20.0, 0.5, 6000, 3),
    FitPhase(5.0, 0.0, 6000, 5),
    FitPhase(3.0, 0.0, 10000, 3, fine=True),
    FitPhase(3.0, 0.0, 30000, 1, fine=True),
)


class ScanFit(NamedTuple):
    """The face model fitted to a scan."""

    identity: np.ndarray  # (K,)
    expression: np.ndarray  # (E,)
    vertices: np.ndarray  # (V, 3) mm, the model's frame
    registration: Registration  # model -> scan frame; rmse_mm (steps,) is that of the crop before each step


class _Shapes:
    """The faces of one model on one mesh: what all fits share."""

    def __init__(self, model: MorphableModel) -> None:
        identity, expression = (basis.cpu().numpy() for basis in (model.identity_basis, model.expression_basis))
        basis = np.concatenate((identity, expression)).astype(np.float32)
        self.mean = model.mean.cpu().numpy().astype(np.float64)
        self.rows = np.ascontiguousarray(basis.reshape(len(basis), -1).T)  # (3 V, K + E)
        self.triangles = model.triangles.cpu().numpy()
        self.boundary = open_boundary(self.triangles, len(self.mean))
        self.landmarks_101 = model.landmarks_101.cpu().numpy()
        self.alignment = model.alignment.cpu().numpy()

    def vertices(self, coefficients: np.ndarray) -> np.ndarray:
        """Vertices (V, 3), mm, of identity and expression coefficients (K + E,); Eq. 1."""
        return self.mean + (self.rows @ coefficients.astype(np.float32)).reshape(-1, 3)


class ScanFitter:
    """Fits one face model to scans, deterministically; prepares once what all fits share."""

    def __init__(self, model: MorphableModel) -> None:
        self.identity_size = model.identity_size
        self.fine = _Shapes(model)
        self.coarse = _Shapes(model.coarse()) if len(model.coarse_triangles) else self.fine

    def fit(self, scan: FaceScan, protocol: ProtocolSection) -> ScanFit:
        """Fit the model to a scan, by its points and its 101 (or, without them, 7) landmarks.

        Args:
            scan: what it is fitted to.
            protocol: its crop says which points count. The fit keeps the model's size whatever its `with_scale`.
        Raises:
            DataError: the landmarks are in a wrong unit or mirrored, or no scan is near them.
        """
        mean = self.fine.mean[self.fine.alignment]
        check_landmarks(mean, scan.landmarks)
        pose = align_landmarks(mean, scan.landmarks, with_scale=False)
        points, weights = _weighted_points(scan, protocol)
        coefficients, history = np.zeros(self.fine.rows.shape[1]), []
        for phase in PHASES:
            shapes = self.fine if phase.fine else self.coarse
            stride = -(-len(points) // phase.points)
            near, inside = points[::stride], weights[::stride] == 1
            weight = weights[::stride] * NOMINAL_POINTS / len(near)
            for _ in range(phase.steps):
                vertices = shapes.vertices(coefficients)
                pairs = closest_pairs(Surface(vertices, shapes.triangles, shapes.boundary), near, pose)
                check_coverage(pairs.kept)
                seen = pairs.kept & inside
                history.append(float(np.sqrt((pairs.residual[seen] ** 2).mean())))
                problem = _Problem(shapes, pose, SmallMotions.about(pairs.points[seen]))
                problem.add_points(pairs, weight)
                if phase.landmarks:
                    problem.add_landmarks(vertices, scan, phase.landmarks)
                coefficients, pose = problem.solve(coefficients, phase.alike * history[-1] ** 2)
        k = self.identity_size
        pose = pose._replace(rmse_mm=np.array(history))
        return ScanFit(coefficients[:k], coefficients[k:], self.fine.vertices(coefficients), pose)


class _Problem:
    """The normal equations of one step, in 6 numbers of the pose and all coefficients."""

    def __init__(self, shapes: _Shapes, pose: Registration, motions: SmallMotions) -> None:
        size = POSE + shapes.rows.shape[1]
        self.shapes, self.pose, self.motions = shapes, pose, motions
        self.matrix, self.right = np.zeros((size, size)), np.zeros(size)

    def add_points(self, pairs: ClosestPairs, weight: np.ndarray) -> None:
        """Add the point-to-plane distances of a scan, weighted (n,)."""
        kept, closest = pairs.kept, pairs.closest
        corners = self.shapes.triangles[closest.triangles[kept]]
        along = closest.barycentric[kept][:, :, None] * closest.normals[kept][:, None, :]
        self._add(pairs.points[kept], pairs.normals[kept], pairs.residual[kept], weight[kept], (corners, along))

    def add_landmarks(self, vertices: np.ndarray, scan: FaceScan, weight: float) -> None:
        """Add the distances of landmarks: along each axis a point-to-plane distance."""
        few = scan.landmarks_101 is None
        ids, marks = (self.shapes.alignment, scan.landmarks) if few else (self.shapes.landmarks_101, scan.landmarks_101)
        points = self.pose.apply(vertices[ids])
        for axis in range(3):
            normals = np.tile(np.eye(3)[axis], (len(ids), 1))
            # The axis as the model sees it: a row of the rotation.
            along = np.tile(self.pose.rotation[axis], (len(ids), 1))[:, None, :]
            residual = (marks - points)[:, axis]
            self._add(points, normals, residual, np.full(len(ids), weight), (ids[:, None], along))

    def _add(
        self,
        points: np.ndarray,
        normals: np.ndarray,
        residual: np.ndarray,
        weight: np.ndarray,
        sources: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Add residuals (n,) whose points follow c vertices (n, c), with directions (n, c, 3) in the model's frame."""
        corners, along = sources
        columns = (3 * corners[:, :, None] + np.arange(3)).reshape(len(points), -1)
        starts = np.arange(len(points) + 1) * columns.shape[1]
        shape, root = (len(points), len(self.shapes.rows)), np.sqrt(weight)
        pick = csr_array(((along * root[:, None, None]).ravel().astype(np.float32), columns.ravel(), starts), shape)
        # In float32: rounding changes the way to the solution, by a millionth, and hardly the solution.
        jacobian = np.empty((len(points), len(self.right)), np.float32)
        jacobian[:, :POSE] = self.motions.jacobian(points, normals)[:, :POSE] * root[:, None]
        jacobian[:, POSE:] = pick @ self.shapes.rows
        self.matrix += jacobian.T @ jacobian
        self.right += jacobian.T @ (root * residual).astype(np.float32)

    def solve(self, coefficients: np.ndarray, prior: float) -> tuple[np.ndarray, Registration]:
        """Find the new coefficients and pose; the prior pulls coefficients, not their change, to zero."""
        matrix, right = self.matrix.copy(), self.right.copy()
        place = np.arange(POSE, len(right))
        matrix[place, place] += prior
        right[POSE:] -= prior * coefficients
        x = np.linalg.solve(matrix, right)
        return coefficients + x[POSE:], self.pose.followed_by(self.motions.motion(np.append(x[:POSE], 0.0)))


def _weighted_points(scan: FaceScan, protocol: ProtocolSection) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) of the scan in and around the crop, and their weights (n,), 1 in the crop."""
    centre, radius = crop_sphere(scan, protocol)
    near = in_sphere(scan.vertices, centre, radius + MARGIN_MM)
    return scan.vertices[near], np.where(inside_crop(scan, protocol), 1.0, MARGIN_WEIGHT)[near]
