"""Results of all stages on faces of a toy model whose truth is known, and the reports made of them."""

import json

import numpy as np
import pandas as pd
import torch
from PIL import Image
from toy_manifest import write_manifest
from toy_model import SIZES, toy_model

from dfmvr import cli
from dfmvr.config.configuration import load
from dfmvr.config.evaluation import RegisterSection
from dfmvr.conventions import ALIGNMENT_IN_68, CLASSES, VIEWS
from dfmvr.datasets.pixel_face.dataset import write_sample
from dfmvr.datasets.sample import Sample
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.views import render_views
from dfmvr.files import write_json, write_npz
from dfmvr.geometry.meshes import Mesh, write_landmarks, write_mesh
from dfmvr.mesh.scan import FaceScan, write_scan
from dfmvr.register.command import register_all
from dfmvr.report.context import read_context
from dfmvr.score.samples import score_all
from dfmvr.score.two_meshes import MeshFiles, score_two

SHARES = {
    "mean_face": 0.0,
    "shang_from_left": 0.2,
    "shang_from_front": 0.35,
    "shang_from_right": 0.1,
    "deng": 0.4,
    "dfmvr_without_l3d": 0.6,
    "dfmvr": 0.8,
    "dfmvr_mixed_from_left": 0.7,
    "dfmvr_mixed_from_front": 0.7,
    "dfmvr_mixed_from_right": 0.7,
    "floor": 1.0,
}
"""How far each method goes from the mean face towards the truth."""

OFFSETS = {"dfmvr_photo_2": 0.1, "dfmvr_photo_5": 0.02, "dfmvr_mask_1": 0.05}
"""Errors of the variants of the sensitivity analysis above those of DF-MVR, mm."""

YAWS = (-10.0, -45.0)
NAMES = [f"p{i}_{-yaw:.0f}" for i in range(4) for yaw in YAWS]
BROKEN, UNALIGNED = "p4_10", "p5_10"
"""A sample whose scan is broken, and one that was not aligned."""

CROP_PX, PHOTO_PX = 48, 120
TRAINED = ("dfmvr_without_l3d", "dfmvr")
SCANNED = ("mean_face", "dfmvr")


def truth_of(names):
    """Coefficients; those of one subject differ in the yaw of the left view alone."""
    rng = np.random.default_rng(3)
    of_person = [int(name[1]) for name in names]
    sizes = [SIZES[f"{part}_size"] for part in ("identity", "expression")]
    identity, expression = (rng.normal(scale=0.5, size=(9, size))[of_person] for size in sizes)
    angles = np.zeros((len(names), 3, 3))
    angles[:, :, 1] = np.radians([(-float(name[3:]), 0.0, 45.0) for name in names])
    light, texture = np.zeros((len(names), 3, 9, 3)), np.zeros((len(names), SIZES["texture_size"]))
    arrays = (identity, expression, texture, light, angles, np.zeros((len(names), 3, 3)))
    return Coefficients(*(torch.as_tensor(array, dtype=torch.float32) for array in arrays))


def towards(truth, share):
    return truth._replace(identity=share * truth.identity, expression=share * truth.expression)


def shape_of(model, found):
    with torch.no_grad():
        return model.shape(found.identity, found.expression).double().numpy()


def write_results(root, data):
    """Write what all stages leave for `SHARES` and `OFFSETS` on samples that lie in `data`."""
    torch.set_num_threads(1)
    names, model = [*NAMES, BROKEN], toy_model()
    truth = truth_of(names)
    model.save(root / "face_model" / "face_model.npz")
    manifest = _write_data(root, data, model, names, truth)
    settings = RegisterSection()
    for method, share in SHARES.items():
        meshes = _write_method(root, method, model, names, towards(truth, share))
        registrations = register_all(meshes, manifest, settings)
        registrations.write(root / "register" / method / "pixel_face.npz")
        model_file = root / "face_model" / "face_model.npz"
        _write_scores(root, method, score_all(meshes, manifest, registrations, settings, model_file))
    ours = pd.read_parquet(root / "score/dfmvr/pixel_face.parquet")
    for method, offset in OFFSETS.items():
        _write_scores(root, method, ours.assign(rmse_mm=ours["rmse_mm"] + offset))
    assert cli.main(["report", "diagrams", "--output", str(root / "diagrams")]) == 0
    _write_runs(root)
    _write_real_scan(root, data, model)


def _write_data(root, data, model, names, truth):
    """Scans, photographs, crops, masks and the manifest."""
    with torch.no_grad():
        large, small = (render_views(model, truth, size) for size in (PHOTO_PX, CROP_PX))
    photos, crops = (
        (255 * views.image.clamp(0, 1)).to(torch.uint8).permute(0, 1, 3, 4, 2).numpy() for views in (large, small)
    )
    samples = []
    for i, (name, shape) in enumerate(zip(names, shape_of(model, truth), strict=True)):
        write_sample(data, name, list(photos[i]))
        scan = data / f"{name}.npz"
        write_scan(scan, FaceScan(shape, shape[model.alignment.numpy()], triangles=model.triangles.numpy()))
        paths, yaws = tuple(data / name / view / "t.jpg" for view in "012"), (-float(name[3:]), 0.0, 45.0)
        samples.append(Sample(name, name[:2], "test", paths, scan=scan, yaws=yaws, expression=f"e{i % 2}"))
    (data / f"{BROKEN}.npz").write_bytes(b"broken")
    samples.append(samples[-1].__class__(UNALIGNED, "p5", "test", paths, yaws=yaws))
    manifest = root / "align/pixel_face/manifest.parquet"
    write_manifest(manifest, samples, {UNALIGNED: "front: no photograph"})
    table = pd.read_parquet(manifest)
    table.assign(measured_yaw=table["yaw"] + 0.5).to_parquet(manifest)
    scale = CROP_PX / PHOTO_PX
    crop = np.tile(np.array([[scale, 0, 0], [0, scale, 0]], np.float32), (len(names), 3, 1, 1))
    arrays = {"landmarks": large.landmarks.numpy() * scale, "crop": crop}
    write_npz(root / "align/pixel_face/samples.npz", sample=np.array(names), **arrays)
    masks = small.alpha.to(torch.uint8).numpy()
    masks[:, :, 20:28, 20:28] *= CLASSES.index("nose")
    weights = np.where(masks > 1, 254, np.where(masks > 0, 128, 32)).astype(np.uint8)
    (root / "parse/pixel_face").mkdir(parents=True)
    for path, array in (("align/pixel_face/images", crops), ("parse/pixel_face/masks", masks)):
        np.save(root / f"{path}.npy", array)
    np.save(root / "parse/pixel_face/weights.npy", weights)
    return manifest


def _write_method(root, method, model, names, coefficients):
    folder = root / "reconstruct" / method / "pixel_face"
    arrays = {field: getattr(coefficients, field).numpy() for field in Coefficients._fields}
    write_npz(folder / "coefficients.npz", sample=np.array(names), **arrays)
    for name, vertices in zip(names, shape_of(model, coefficients), strict=True):
        write_mesh(folder / "meshes" / f"{name}.ply", Mesh(vertices, model.triangles.numpy()))
        seven = vertices[model.landmarks_68[list(ALIGNMENT_IN_68)].numpy()]
        write_landmarks(folder / "meshes" / f"{name}.landmarks.csv", seven)
    return folder / "meshes"


def _write_scores(root, method, table):
    path = root / "score" / method / "pixel_face.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.assign(method=method, dataset="pixel_face").to_parquet(path)


def _write_runs(root):
    parser = {"images": 4, "iou": dict.fromkeys(CLASSES, 0.5), "mean_iou": 0.5, "pixel_accuracy": 0.9}
    write_json(root / "parse/metrics.json", parser)
    summary = {"population_mm": {"face_width": [140.8, 6.0]}, "held_out_rms_mm": {"other": {"model": 0.2}}}
    write_json(root / "face_model/summary.json", summary)
    steps = np.arange(40)
    frame = pd.DataFrame({"step": steps, "epoch": steps // 10, "learning_rate": 1e-3, "total": 9 / (1 + steps)})
    for method in TRAINED:
        (root / "train" / method).mkdir(parents=True)
        frame.assign(photo=0.25).to_csv(root / "train" / method / "metrics.csv", index=False)


def _write_real_scan(root, folder, model):
    """A scan of its own with photographs, and the scores of two methods on it."""
    scan = shape_of(model, truth_of(["p0_10"]))[0]
    write_mesh(folder / "scan.ply", Mesh(scan, model.triangles.numpy()))
    write_landmarks(folder / "scan.landmarks.csv", scan[model.landmarks_68[list(ALIGNMENT_IN_68)].numpy()])
    for view in VIEWS:
        Image.new("RGB", (50, 50), "gray").save(folder / f"{view}.jpg")
    for method in SCANNED:
        mesh = root / "reconstruct" / method / "pixel_face" / "meshes" / "p1_10.ply"
        prediction = MeshFiles(mesh, mesh.with_suffix(".landmarks.csv"))
        truth = MeshFiles(folder / "scan.ply", folder / "scan.landmarks.csv")
        score = score_two(prediction, truth, RegisterSection())
        write_json(root / "score" / method / "real_scan.json", score)


def report(root, output, methods=(), **settings):
    """Make the page of some methods, or of all, with `settings` of the report."""
    scores = [str(root / "score" / method / "pixel_face.parquet") for method in methods]
    given = ["--results", str(root), "--tables", str(output.parent / "tables"), "--output", str(output)]
    given += ["--settings", json.dumps({"bootstrap": 200, "panels": 2, **settings})]
    return cli.main(["report", *given, *(["--scores", *scores] if scores else [])])


def context_of(root, folder, *overrides, configured=False):
    """What the chapters of a report are made from."""
    configuration = load(None, ["report.bootstrap=200", "report.panels=2", *overrides])
    return read_context(root, configuration, folder, configured=configured)
