"""Downloads of what may be downloaded, each to the place that the configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dfmvr.errors import ConfigError, DataError, OutputError
from dfmvr.fetch.archive import is_unpacked, unpack
from dfmvr.fetch.download import download
from dfmvr.fetch.models import landmark_weights, weights_files
from dfmvr.fetch.sources import sources

if TYPE_CHECKING:
    from dfmvr.config.configuration import Config


def _obtain_archive(name: str, config: Config) -> Path:
    """Download and unpack an archive; give its folder."""
    settings, key = getattr(config.datasets, name), f"datasets.{name}"
    for what in ("root", "url"):
        if getattr(settings, what) is None:
            raise ConfigError(f"{key}.{what}: expected a value for the download, found none; set {key}.root and .url")
    root = settings.root
    if is_unpacked(root):
        return root
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise OutputError(f"{root}: expected a new or empty folder, found other files; move them or set {key}.root")
    archive = root.resolve().with_name(f"{root.name}.archive")
    download(settings.url, archive, settings.sha256, f"{key}.url")
    try:
        unpack(archive, root)
    except DataError:
        archive.unlink()  # else the next call would take it for the download
        raise
    archive.unlink()
    return root


def _obtain_weights(name: str, config: Config) -> Path:
    """Download public weights to each file that the configuration names; give the first."""
    source, files = sources()[name], weights_files(name, config)
    if not files:
        raise ConfigError(f"{source.key}: expected the file to download to, found none; set it")
    places = [download(source.url, path, source.sha256, key) for key, path in files.items()]
    return places[0]


def _obtain_face_alignment(name: str, _: Config) -> Path:
    """Download face-alignment's weights; give their folder."""
    weights = landmark_weights()
    for path, url in weights.items():
        download(url, path, key=sources()[name].key)
    return next(iter(weights)).parent


_WAYS = {
    "celebamask_hq": _obtain_archive,
    "ict_facekit": _obtain_archive,
    "face_alignment": _obtain_face_alignment,
    "facexlib": _obtain_weights,
    "resnet50": _obtain_weights,
}

DOWNLOADABLE = tuple(_WAYS)
"""Names of what can be downloaded; the rest must be asked for."""


def obtain(name: str, config: Config) -> Path:
    """Download one of DOWNLOADABLE, unless it is there.

    Args:
        name: its name.
        config: the whole configuration.
    Returns:
        The file or folder that it is in.
    Raises:
        ConfigError: a key that the download needs is not set, or no address.
        DataError: what came is damaged, has another checksum, or is an archive that cannot be trusted.
        OutputError: there is no room, or other files are in the way.
        UnavailableError: there is no network, or nothing at the address.
    """
    return _WAYS[name](name, config)
