"""Panels of single samples after Figs. 5 and 13 of the paper: what goes in, what comes out, and how far it is off.

Read for each data set: align/<dataset>/{samples.npz,manifest.parquet}, parse/<dataset>/{masks,weights}.npy,
reconstruct/<method>/<dataset>/{coefficients.npz,meshes/}, register/<method>/<dataset>.npz, face_model/face_model.npz,
and the photographs and scans that the manifest names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw

from dfmvr.config import DatasetsSection, ProtocolSection
from dfmvr.conventions import CLASSES, VIEWS
from dfmvr.datasets import layout_of, open_dataset
from dfmvr.datasets.manifest import read_manifest, samples_to_test
from dfmvr.errors import DataError
from dfmvr.files import open_npy, read_npz
from dfmvr.parse.figures import PALETTE
from dfmvr.report.names import FLOOR, MEAN_FACE, OURS, method_name
from dfmvr.report.pictures import TILE_PX, Tile, colour_bar, error_picture, font, grid, see_mesh, shade_seen
from dfmvr.report.style import PREDICTION_COLOUR, TRUTH_COLOUR
from dfmvr.report.tables import number

if TYPE_CHECKING:
    from dfmvr.face_model.model import MorphableModel
    from dfmvr.geometry.surface import Surface
    from dfmvr.networks.df_mvr import Coefficients
    from dfmvr.register import Registration, Target

THREE_QUARTERS_DEG = -40.0


class Chosen(NamedTuple):
    """A sample for a panel."""

    sample: str
    rank: int  # 1 = smallest error
    of: int
    error_mm: float


def choose_samples(errors: pd.Series, count: int) -> list[Chosen]:
    """Choose samples over the whole range of errors: median, worst, best, then the quarters between, and so on.

    Args:
        errors: by sample.
        count: how many; fewer if there are fewer.
    Returns:
        The chosen ones from the smallest error to the largest.
    """
    order = errors.sort_index(kind="stable").sort_values(kind="stable")
    shares = [0.5, 1.0, 0.0]
    step = 0.25
    while len(shares) < count:
        shares += [s for s in np.arange(step, 1, 2 * step)][::-1]
        step /= 2
    places: list[int] = []
    for share in shares + list(np.linspace(0, 1, len(order))):
        place = round(share * (len(order) - 1))
        if place not in places and len(places) < min(count, len(order)):
            places.append(place)
    return [Chosen(str(order.index[i]), i + 1, len(order), float(order.iloc[i])) for i in sorted(places)]


class Shapes(NamedTuple):
    """Scan and registered predictions of one sample in one frame, face toward +z, mm."""

    scan: tuple[np.ndarray, np.ndarray]  # vertices, triangles
    predictions: dict[str, tuple[np.ndarray, np.ndarray]]
    errors_mm: dict[str, np.ndarray]  # method: (N,) distance of each point of the scan, NaN where not measured


class Source:
    """The files behind the panels of one data set."""

    def __init__(
        self, root: Path, dataset: str, methods: Sequence[str], protocol: ProtocolSection, reading: DatasetsSection
    ) -> None:
        """Name the files; `reading` is the section `datasets` of the configuration."""
        self.root, self.dataset, self.methods, self.protocol = root, dataset, list(methods), protocol
        self.aligned = read_npz(root / "align" / dataset / "samples.npz", "sample", "landmarks", "crop")
        manifest = root / "align" / dataset / "manifest.parquet"
        self._views = read_manifest(manifest)
        self._targets = {target.sample: target for target in samples_to_test(manifest)}
        layout = layout_of(dataset)
        self._data = open_dataset(layout, root, getattr(reading, layout))

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

    def photographs(self, sample: str) -> list[np.ndarray]:
        """The three crops, cut anew from the photographs at the size of a tile; uint8 (S, S, 3) each."""
        from dfmvr.align.crop import crop_photo

        scale = TILE_PX / self.crop_size
        affines = self.aligned["crop"][self.index(sample)].astype(np.float64) * scale
        photos = [self._data.read_photo(Path(path)) for path in self.views(sample)["image"]]
        return [crop_photo(photo, affine, TILE_PX) for photo, affine in zip(photos, affines, strict=True)]

    @cached_property
    def crop_size(self) -> int:
        """Width of the aligned crops in pixels."""
        return int(self.parsed("masks").shape[-1])

    def parsed(self, name: str) -> np.ndarray:
        """`masks` or `weights`, (N, 3, S, S)."""
        return open_npy(self.root / "parse" / self.dataset / f"{name}.npy", "dfmvr parse")

    def coefficients(self, method: str, sample: str) -> Coefficients:
        """What the network answered for a sample."""
        from dfmvr.networks.df_mvr import Coefficients

        path = self.root / "reconstruct" / method / self.dataset / "coefficients.npz"
        arrays = read_npz(path, "sample", *Coefficients._fields)
        i = _place(arrays["sample"], sample, path)
        return Coefficients(*(torch.from_numpy(arrays[n][i : i + 1]).float() for n in Coefficients._fields))

    def shapes(self, sample: str) -> Shapes:
        """Read the scan and all registered predictions of a sample, and measure the distances."""
        from dfmvr.register import Surfaces, Targets

        folders = {m: self.root / "reconstruct" / m / self.dataset / "meshes" for m in self.methods}
        surfaces = {method: Surfaces(folder).read(sample)[0] for method, folder in folders.items()}
        registrations = {method: self._registration(method, sample) for method in self.methods}
        target = Targets(self.root / "mesh" / self.dataset).read(self._targets[sample])
        return registered_shapes(target, target.triangles, surfaces, registrations, self.protocol)

    def _registration(self, method: str, sample: str) -> Registration:
        from dfmvr.register import Registrations

        path = self.root / "register" / method / f"{self.dataset}.npz"
        found = Registrations.read(path).get(sample, "paper")
        if isinstance(found, str):
            raise DataError(f"{path}: sample {sample} was scored but is not registered ({found}); run `dfmvr register`")
        return found


def registered_shapes(
    target: Target,
    triangles: np.ndarray,
    surfaces: dict[str, Surface],
    registrations: dict[str, Registration],
    protocol: ProtocolSection,
) -> Shapes:
    """Bring a scan and its registered predictions into one frame, and measure the distances as the score does.

    The common frame is that of a prediction, whose face looks along +z whatever the scan's frame is.

    Args:
        target: points and landmarks of the scan.
        triangles: (F, 3) of the scan.
        surfaces, registrations: by method.
        protocol: its crop says which points are measured.
    """
    from dfmvr.register import crop, pair

    inside = _rows_within(target.vertices, crop(target, protocol))
    frame = registrations[FLOOR if FLOOR in registrations else next(reversed(registrations))]
    predictions, errors = {}, {}
    for method, registration in registrations.items():
        surface = surfaces[method]
        predictions[method] = frame.undo(registration.apply(surface.vertices)), surface.triangles
        pairs = pair(surface, target.vertices[inside], registration)
        errors[method] = np.full(len(target.vertices), np.nan)
        errors[method][inside] = np.where(pairs.kept, np.abs(pairs.residual), np.nan)
    return Shapes((frame.undo(target.vertices), triangles), predictions, errors)


@lru_cache(1)
def _model(path: Path) -> MorphableModel:
    """Load the face model, once for all data sets."""
    from dfmvr.face_model.model import MorphableModel

    return MorphableModel.load(path)


def _place(names: np.ndarray, sample: str, path: Path) -> int:
    """Row of a sample."""
    found = np.flatnonzero(names == sample)
    if not len(found):
        raise DataError(f"{path}: expected the sample {sample}, found {len(names)} others; run the stage again")
    return int(found[0])


def _rows_within(rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Tell which of the rows (N, 3) are among the chosen ones, bit by bit; (N,) bool."""
    kind = np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))
    whole, part = (np.ascontiguousarray(a).view(kind).ravel() for a in (rows, chosen))
    return np.isin(whole, part)


def inputs_panel(source: Source, sample: str, method: str) -> Image.Image:
    """Three views: photograph, classes, weights, the result over the photograph, landmarks."""
    from dfmvr.rendering.views import render_views

    i = source.index(sample)
    with torch.inference_mode():
        views = render_views(source.model, source.coefficients(method, sample), TILE_PX)
    truth = source.aligned["landmarks"][i] * (TILE_PX / source.crop_size)
    rows = []
    for v, photo in enumerate(source.photographs(sample)):
        mask, weight = (_enlarge(source.parsed(name)[i, v]) for name in ("masks", "weights"))
        alpha = views.alpha[0, v].numpy()[..., None]
        drawn = 255 * views.image[0, v].permute(1, 2, 0).numpy().clip(0, 1)
        over = np.round(alpha * drawn + (1 - alpha) * photo).astype(np.uint8)
        points = draw_landmarks(photo, truth[v], views.landmarks[0, v].numpy())
        tiles = (photo, PALETTE[mask], np.repeat(weight[..., None], 3, -1), over, points)
        rows.append([Tile(image) for image in tiles])
    heads = ("photograph", "parsed classes", "weight map", "result over photo", "landmarks")
    return grid(rows, heads, [f"{name} view" for name in VIEWS])


def draw_landmarks(photo: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Draw true landmarks as blue rings and predicted ones as red dots on a photograph.

    Args:
        photo: uint8 (S, S, 3).
        truth, predicted: (68, 2) px of the photograph.
    """
    finer = 3
    size = photo.shape[0] * finer
    image = Image.fromarray(photo).resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for x, y in truth * finer:
        draw.ellipse((x - 10, y - 10, x + 10, y + 10), outline="white", width=7)
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), outline=TRUTH_COLOUR, width=5)
    for x, y in predicted * finer:
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=PREDICTION_COLOUR, outline="white")
    return np.asarray(image.resize(photo.shape[:2], Image.Resampling.BOX))


def _enlarge(small: np.ndarray) -> np.ndarray:
    """Enlarge (S, S) uint8 to a tile, every pixel staying what it is."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(small)).resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST))


def shapes_panel(shapes: Shapes, rmse_mm: dict[str, float], scale_mm: float) -> Image.Image:
    """Scan and predictions from the front and from the side, and the distance of the scan from each prediction."""
    front, side, maps = [], [], []
    heads = ["scan"]
    meshes = {"": shapes.scan, **shapes.predictions}
    for method, (vertices, triangles) in meshes.items():
        for row, yaw in ((front, 0.0), (side, THREE_QUARTERS_DEG)):
            row.append(Tile(shade_seen(see_mesh(vertices, triangles, yaw, TILE_PX))))
        if not method:
            maps.append(Tile(colour_bar(scale_mm)))
            continue
        heads.append(method_name(method).partition(" (model")[0])
        error = shapes.errors_mm[method]
        values = np.stack([np.nan_to_num(error), np.isfinite(error)], -1)
        seen = see_mesh(*shapes.scan, 0.0, TILE_PX, values)
        maps.append(Tile(error_picture(seen, scale_mm), f"RMSE {number(rmse_mm[method], 2)} mm"))
    return grid([front, side, maps], heads, ["front", "three-quarter", "error on scan"])


def error_scale(all_shapes: Sequence[Shapes]) -> float:
    """One scale for all error maps of the page: the 95th percentile of all distances, in whole mm, at least 2."""
    errors = np.concatenate([e[np.isfinite(e)] for shapes in all_shapes for e in shapes.errors_mm.values()])
    return float(max(2, np.ceil(np.percentile(errors, 95))))


def class_legend() -> Image.Image:
    """The colours of the parsed classes with their names."""
    shown = [(name.replace("_", " "), colour) for name, colour in zip(CLASSES, PALETTE, strict=True)]
    image = Image.new("RGB", (5 * 170, 2 * 26), "white")
    draw = ImageDraw.Draw(image)
    for i, (name, colour) in enumerate(shown):
        left, top = (i % 5) * 170, (i // 5) * 26
        draw.rectangle((left + 2, top + 5, left + 22, top + 21), fill=tuple(map(int, colour)), outline="#555555")
        draw.text((left + 30, top + 13), name, fill="#1d2329", font=font(14), anchor="lm")
    return image


def shown_methods(present: Sequence[str]) -> list[str]:
    """Methods whose shapes are shown: the study's own, as far as they were run."""
    return [m for m in present if m in (MEAN_FACE, FLOOR) or m.startswith(OURS)]
