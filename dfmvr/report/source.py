"""What the pictures of single samples are made from: photographs, masks, meshes, registrations of one data set.

Read for each data set: align/<dataset>/{samples.npz,images.npy,manifest.parquet}, parse/<dataset>/{masks,weights}.npy,
reconstruct/<method>/<dataset>/{coefficients.npz,meshes/}, register/<method>/<dataset>.npz, face_model/face_model.npz,
and the photographs and scans that the manifest names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from dfmvr.align.crop import crop_photo
from dfmvr.config.data import DatasetsSection
from dfmvr.config.evaluation import ProtocolSection
from dfmvr.conventions import VIEWS
from dfmvr.datasets.layouts import open_dataset
from dfmvr.datasets.manifest import read_manifest, samples_to_test
from dfmvr.errors import DataError
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import open_npy, read_npz
from dfmvr.geometry.surface import Surface
from dfmvr.mesh.scan import FaceScan
from dfmvr.register.crop import inside_crop
from dfmvr.register.icp import Registration, closest_pairs
from dfmvr.register.inputs import PredictedSurfaces, scan_of
from dfmvr.register.registrations import Registrations
from dfmvr.study.methods import FLOOR

TILE_PX = 240
"""Width and height of a photograph or mesh in a picture of several."""

SHAPES_KEPT = 12
"""Samples of a data set whose shapes, some 20 MB each, stay in memory from one figure to the next."""


class Shapes(NamedTuple):
    """Scan and registered predictions of one sample in one frame, face toward +z, mm."""

    scan: tuple[np.ndarray, np.ndarray]  # vertices, triangles
    predictions: dict[str, tuple[np.ndarray, np.ndarray]]
    errors_mm: dict[str, np.ndarray]  # method: (N,) distance of each point of the scan, NaN where not measured


class SampleSource:
    """The files of one data set that stand behind pictures of single samples; each is read once."""

    def __init__(self, root: Path, dataset: str, protocol: ProtocolSection, reading: DatasetsSection) -> None:
        """Name the files; `reading` is the section `datasets` of the configuration."""
        self.root, self.dataset, self.protocol = root, dataset, protocol
        self.aligned = read_npz(root / "align" / dataset / "samples.npz", "sample", "landmarks", "crop")
        manifest = root / "align" / dataset / "manifest.parquet"
        self._views = read_manifest(manifest)
        self._tested = {tested.sample: tested for tested in samples_to_test(manifest)}
        layout = reading.layout_of(dataset)
        self._data = open_dataset(layout, root, getattr(reading, layout))
        self._registered: dict[str, Registrations] = {}
        self._coefficients: dict[str, dict[str, np.ndarray]] = {}
        self._shapes: dict[tuple[str, tuple[str, ...]], Shapes] = {}

    @cached_property
    def model(self) -> MorphableModel:
        """The face model."""
        return _model(self.root / "face_model" / "face_model.npz")

    def index(self, sample: str) -> int:
        """Row of a sample in the arrays of `align` and `parse`."""
        return _place(self.aligned["sample"], sample, self.root / "align" / self.dataset / "samples.npz")

    def views(self, sample: str) -> pd.DataFrame:
        """The manifest's rows of a sample in the order of the views."""
        rows = self._views[self._views["sample"] == sample]
        return rows.set_index("view").loc[list(VIEWS)]

    def photographs(self, sample: str, size: int = TILE_PX) -> list[np.ndarray]:
        """The three crops, cut anew from the photographs at the size of a tile; uint8 (size, size, 3) each."""
        affines = self.aligned["crop"][self.index(sample)].astype(np.float64) * (size / self.crop_size)
        photos = [self._data.read_photo(Path(path)) for path in self.views(sample)["image"]]
        return [crop_photo(photo, affine, size) for photo, affine in zip(photos, affines, strict=True)]

    @cached_property
    def crop_size(self) -> int:
        """Width of the aligned crops in pixels."""
        return int(self.parsed("masks").shape[-1])

    def parsed(self, name: str) -> np.ndarray:
        """`masks` or `weights`, (N, 3, S, S)."""
        return open_npy(self.root / "parse" / self.dataset / f"{name}.npy", "dfmvr parse")

    def crops(self, sample: str) -> np.ndarray:
        """The three crops as the networks see them, uint8 (3, S, S, 3)."""
        images = open_npy(self.root / "align" / self.dataset / "images.npy", "dfmvr align")
        return np.asarray(images[self.index(sample)])

    def landmarks(self, sample: str) -> np.ndarray:
        """The 68 landmarks of the three views in pixels of a tile, (3, 68, 2); NaN where one is not known."""
        return self.aligned["landmarks"][self.index(sample)] * (TILE_PX / self.crop_size)

    def coefficients(self, method: str, sample: str) -> Coefficients:
        """What the network answered for a sample."""
        path = self.root / "reconstruct" / method / self.dataset / "coefficients.npz"
        if method not in self._coefficients:
            self._coefficients[method] = read_npz(path, "sample", *Coefficients._fields)
        arrays = self._coefficients[method]
        i = _place(arrays["sample"], sample, path)
        return Coefficients(*(torch.from_numpy(arrays[n][i : i + 1]).float() for n in Coefficients._fields))

    def scan(self, sample: str) -> FaceScan:
        """The scan of a sample, its landmarks and its triangles."""
        return scan_of(self._tested[sample])

    def shapes(self, sample: str, methods: Sequence[str]) -> Shapes:
        """Read the scan and the registered predictions of some methods for a sample, and measure the distances."""
        key = sample, tuple(methods)
        if key not in self._shapes:
            folders = {m: self.root / "reconstruct" / m / self.dataset / "meshes" for m in methods}
            surfaces = {method: PredictedSurfaces(folder).read(sample)[0] for method, folder in folders.items()}
            registrations = {method: self.registered(method, sample) for method in methods}
            if len(self._shapes) >= SHAPES_KEPT:
                self._shapes.pop(next(iter(self._shapes)))
            self._shapes[key] = registered_shapes(self.scan(sample), surfaces, registrations, self.protocol)
        return self._shapes[key]

    def registration(self, method: str, sample: str) -> Registration | str:
        """The registration of a sample, or the reason why there is none."""
        if method not in self._registered:
            path = self.root / "register" / method / f"{self.dataset}.npz"
            self._registered[method] = Registrations.read(path)
        return self._registered[method].get(sample, "paper")

    def registered(self, method: str, sample: str) -> Registration:
        """The registration of a sample.

        Raises:
            DataError: there is none.
        """
        found = self.registration(method, sample)
        if isinstance(found, str):
            path = self.root / "register" / method / f"{self.dataset}.npz"
            raise DataError(f"{path}: sample {sample} was scored but is not registered ({found}); run `dfmvr register`")
        return found


def registered_shapes(
    scan: FaceScan,
    surfaces: dict[str, Surface],
    registrations: dict[str, Registration],
    protocol: ProtocolSection,
) -> Shapes:
    """Bring a scan and its registered predictions into one frame, and measure the distances as the score does.

    The common frame is that of a prediction, whose face looks along +z whatever the scan's frame is.

    Args:
        scan: its points, landmarks and triangles.
        surfaces, registrations: by method.
        protocol: its crop says which points are measured.
    """
    inside = inside_crop(scan, protocol)
    frame = registrations[FLOOR if FLOOR in registrations else next(reversed(registrations))]
    predictions, errors = {}, {}
    for method, registration in registrations.items():
        surface = surfaces[method]
        predictions[method] = frame.undo(registration.apply(surface.vertices)), surface.triangles
        pairs = closest_pairs(surface, scan.vertices[inside], registration)
        errors[method] = np.full(len(scan.vertices), np.nan)
        errors[method][inside] = np.where(pairs.kept, np.abs(pairs.residual), np.nan)
    return Shapes((frame.undo(scan.vertices), scan.triangles), predictions, errors)


@lru_cache(1)
def _model(path: Path) -> MorphableModel:
    """Load the face model, once for all data sets."""
    return MorphableModel.load(path)


def _place(names: np.ndarray, sample: str, path: Path) -> int:
    """Row of a sample."""
    found = np.flatnonzero(names == sample)
    if not len(found):
        raise DataError(f"{path}: expected the sample {sample}, found {len(names)} others; run the stage again")
    return int(found[0])
