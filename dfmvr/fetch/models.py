"""Checks of face models and weights: are the files there, whole and of their format? They are read by who uses them."""

from __future__ import annotations

import importlib.util
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dfmvr.datasets.matlab import read_matlab
from dfmvr.errors import DataError, UnavailableError
from dfmvr.fetch.finding import Finding, Status
from dfmvr.fetch.sources import ExpectedFile, Source, sources

if TYPE_CHECKING:
    from dfmvr.config.configuration import Config


def _check_obj(path: Path) -> None:
    """Look whether a text of vertices begins."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if b"\0" in head or not any(line.startswith(b"v ") for line in head.splitlines()):
        raise DataError(f"{path}: expected an OBJ file that begins with vertices; copy it again")


def _check_npz(path: Path) -> None:
    """Look whether an archive of arrays is whole at its end, where its table of contents is."""
    try:
        with zipfile.ZipFile(path) as archive:
            there = "mean.npy" in archive.namelist()
    except (zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"{path}: {error}; copy it again") from None
    if not there:
        raise DataError(f"{path}: expected the array `mean` among others; copy it again")


_CHECKS = {"matlab": read_matlab, "obj": _check_obj, "npz": _check_npz}


def _find(place: Path, name: str) -> list[Path]:
    """Files by name or glob in a folder or up to two below it; the place itself if it is a file of that name."""
    if place.is_file():
        return [place] if place.match(name) else []
    return next((found for depth in ("", "*/", "*/*/") if (found := sorted(place.glob(depth + name)))), [])


def _problem_of(path: Path, file: ExpectedFile) -> str | None:
    """What is wrong with a file, if anything can be told at a look."""
    size = path.stat().st_size
    if size == 0:
        return f"{path}: the file is empty; copy it again"
    if file.bytes not in (None, size):
        return f"{path}: expected {file.bytes} bytes, found {size}; copy it again"
    try:
        if file.format:
            _CHECKS[file.format](path)
    except DataError as error:
        return str(error)
    return None


def _form_of(place: Path, source: Source) -> tuple[ExpectedFile, ...]:
    """Of the forms in which a model comes, the one of which most is there; the first one of equals."""
    share = {
        form: sum(bool(_find(place, file.name)) for file in files) / len(files) for form, files in source.files.items()
    }
    return source.files[max(share, key=share.__getitem__)]


def _check_place(finding: Finding, place: Path, key: str, source: Source) -> None:
    """Check the files of a model in a folder, or in a file that holds all."""
    if not place.exists():
        finding.block(Status.MISSING, f"{key}: {place}: no such file or folder; check it, or {source.ask}")
        return
    files = _form_of(place, source)
    found = {file: _find(place, file.name)[: file.count] for file in files}
    expected = [file for file in files if not file.optional]
    missing = [file.name for file in expected if len(found[file]) < file.count]
    there = sum(len(found[file]) for file in expected)
    finding.counts["files"] = (there, sum(file.count for file in expected))
    if missing:
        text = f"{key}: {place}: expected {', '.join(missing)}, not there; copy it, or {source.ask}"
        finding.block(Status.PARTIAL if there else Status.MISSING, text)
    for file, paths in found.items():
        for problem in filter(None, (_problem_of(path, file) for path in paths)):
            (finding.note if file.optional else finding.block)(Status.DAMAGED, problem)


def _places(name: str, config: Config) -> Iterator[tuple[str, Path | None]]:
    """Keys of the configuration that ask for a face model, and what they name."""
    if config.face_model.source == name:
        yield "face_model.folder", config.face_model.folder
    if name == "ict_facekit":
        named = {
            "simulate.ict_facekit": config.simulate.ict_facekit,
            "datasets.ict_facekit.root": config.datasets.ict_facekit.root,
        }
        yield from ((key, place) for key, place in named.items() if place is not None)


def check_face_model(name: str, config: Config) -> Finding:
    """Check the files of a face model, wherever the configuration names them.

    Args:
        name: 'bfm_2009' or 'ict_facekit'.
        config: the whole configuration.
    """
    source = sources()[name]
    finding = Finding(name, source.title)
    for key, place in _places(name, config):
        looked_at = place in finding.places
        finding.needs(place)
        if place is None:
            finding.block(Status.MISSING, f"{key}: face_model.source is {name}, so name its folder")
        elif not looked_at:
            _check_place(finding, place, key, source)
            if name == "bfm_2009" and place.exists():
                _check_keypoints(finding, place, key, config)
    return finding


def _check_keypoints(finding: Finding, place: Path, key: str, config: Config) -> None:
    """Look whether something tells at which vertices of the Basel Face Model Pixel-Face's keypoints are."""
    from dfmvr.face_model.bfm.files import keypoint_files, keypoints_hint

    if config.compares_keypoints and not keypoint_files(place, config.datasets.pixel_face.root):
        finding.block(Status.PARTIAL, f"{key}: {keypoints_hint(place)}")


def weights_files(name: str, config: Config) -> dict[str, Path]:
    """Keys of the configuration that name a file of public weights, `facexlib` or `resnet50`, and the files."""
    if name == "facexlib":
        named = {"parse.facexlib_weights": config.parse.facexlib_weights}
    else:
        trained = {config.variant(training).method for training in config.trained_on()}
        named = {
            f"train.{method}.imagenet_weights": getattr(config.train, method).imagenet_weights
            for method in ("deng", "shang")
            if method in trained
        }
    return {key: path for key, path in named.items() if path is not None}


def check_weights(name: str, config: Config) -> Finding:
    """Check public weights by loading them.

    Args:
        name: 'facexlib' or 'resnet50'.
        config: the whole configuration.
    """
    source = sources()[name]
    finding = Finding(name, source.title)
    for key, path in weights_files(name, config).items():
        known = path in finding.places
        finding.needs(path)
        if known:
            continue
        if not path.is_file():
            finding.block(Status.MISSING, f"{key}: {path}: no such file; check it, or {source.ask}")
            continue
        try:
            _load_weights(name, path)
        except DataError as error:
            finding.block(Status.DAMAGED, f"{key}: {error}")
    return finding


def _load_weights(name: str, path: Path) -> None:
    """Load public weights into their network; others than asked for do not import torch."""
    if name == "facexlib":
        from dfmvr.parse.facexlib import load_facexlib

        load_facexlib(path)
    else:
        from dfmvr.networks.imagenet import load_imagenet
        from dfmvr.networks.resnet import ResNet

        load_imagenet(ResNet(3), path)


def landmark_weights() -> dict[Path, str]:
    """Place and address of each file that face-alignment needs.

    Raises:
        UnavailableError: the package is not installed.
    """
    if importlib.util.find_spec("face_alignment") is None:
        raise UnavailableError(
            "align.landmarks: the package face-alignment is not installed; `pip install face-alignment`"
        )
    import torch
    from face_alignment.api import models_urls
    from face_alignment.detection.sfd.sfd_detector import models_urls as face_urls

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return {folder / os.path.basename(url): url for url in (face_urls["s3fd"], models_urls["3DFAN-4"])}


def check_face_alignment(name: str, config: Config) -> Finding:
    """Check that landmarks can be detected without a download in the middle of a run."""
    source = sources()[name]
    finding = Finding(name, source.title)
    if config.align.landmarks != "face_alignment":
        return finding
    try:
        weights = landmark_weights()
    except (UnavailableError, ImportError) as error:
        finding.block(Status.MISSING, str(error), unavailable=True)
        return finding
    finding.needs(next(iter(weights)).parent)
    missing = [path for path in weights if not path.is_file() or not path.stat().st_size]
    finding.counts["files"] = (len(weights) - len(missing), len(weights))
    for path in missing:
        how = f"run `dfmvr fetch --download {name}`, or copy {weights[path]} there"
        text = f"{source.key}: {path.name} is not in {path.parent}; {how}"
        finding.block(Status.MISSING, text, unavailable=True)
    return finding
