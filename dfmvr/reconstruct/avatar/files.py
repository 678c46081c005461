"""The file of a face's avatar.

In     a `Reconstruction` with the open face model.
Gives  avatar.glb in a folder: the whole head with the 52 actions of ARKit, at the expression that the face has.
"""

from __future__ import annotations

from pathlib import Path

from dfmvr.reconstruct.avatar.glb import write_avatar
from dfmvr.reconstruct.avatar.head import avatar_of
from dfmvr.reconstruct.avatar.plain import plain_paints
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction

AVATAR = "avatar.glb"


def export_avatar(folder: Path, face: Reconstruction) -> Path:
    """Write the avatar of a face into an existing folder.

    Returns:
        The file.
    Raises:
        ConfigError: the head about faces of this model is not known (see `dfmvr.reconstruct.avatar.head.prepare`).
        OutputError: the file cannot be written.
    """
    avatar = avatar_of(face)
    write_avatar(folder / AVATAR, avatar, plain_paints(face, avatar))
    return folder / AVATAR
