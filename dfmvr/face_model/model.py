"""The morphable model of Eq. 1: shape = mean + identity + expression, albedo = mean + texture.

In     a model file (`.npz`), written by `dfmvr face_model`.
Gives  vertices in mm (frame of `dfmvr.conventions`, origin at the mean's centroid) and sRGB-encoded albedo.

Arrays of a model file, V vertices and F triangles:
    mean (V, 3) mm; identity (K, V, 3) and albedo (T, V, 3), one standard deviation of the population a component;
    expression (E, V, 3) mm, scaled so that typical coefficients are about 1; albedo_mean (V, 3), in [0, 1];
    triangles (F, 3), counter-clockwise seen from outside; coarse_triangles (Fc, 3), a coarser mesh over the first
    `coarse_vertices` vertices; labels (V,), index into conventions.CLASSES; regions (V,), index into
    conventions.REGIONS; landmarks_68 (68,) and landmarks_106 (106,), vertex indices; expression_names (E,); name;
    where its source tells it, skin (V,), 1 where the albedo should be even, else 0, and action_names (A,) with actions
    (A, E), the expression's coefficients of each facial action at full strength.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dfmvr.conventions import ALIGNMENT_IN_101, CLASSES, DROPPED_FROM_106, REGIONS
from dfmvr.files import check_arrays, read_npz, write_npz

SKIN_CLASSES = tuple(CLASSES.index(name) for name in ("skin", "nose"))
"""ASSUME: where a model does not tell its skin, it is what has these classes."""

_FLOATS = ("mean", "identity", "expression", "albedo_mean", "albedo", "actions")
_INDICES = ("triangles", "coarse_triangles", "landmarks_68", "landmarks_106")
_CLASSES = ("labels", "regions")
_BUFFERS = {"identity": "identity_basis", "expression": "expression_basis", "albedo": "albedo_basis"}
_SHAPES = {
    "mean": ("V", 3),
    "identity": (None, "V", 3),
    "expression": ("E", "V", 3),
    "albedo_mean": ("V", 3),
    "albedo": (None, "V", 3),
    "triangles": (None, 3),
    "coarse_triangles": (None, 3),
    "labels": ("V",),
    "regions": ("V",),
    "skin": ("V",),
    "landmarks_68": (68,),
    "landmarks_106": (106,),
    "expression_names": ("E",),
    "action_names": ("A",),
    "actions": ("A", "E"),
    "name": (),
    "coarse_vertices": (),
}
_LIMITS = dict.fromkeys(_INDICES, "V") | {"labels": len(CLASSES), "regions": len(REGIONS), "skin": 2}


class MorphableModel(torch.nn.Module):
    """Eq. 1 as a module without parameters: every array is a buffer, so `.to(device)` moves them all.

    Buffers: mean (V, 3) mm, identity_basis (K, V, 3), expression_basis (E, V, 3), albedo_mean (V, 3), albedo_basis
    (T, V, 3), triangles (F, 3), labels (V,), regions (V,), landmarks_68 (68,), landmarks_106 (106,), coarse_triangles,
    skin (V,) bool, actions (A, E).
    """

    def __init__(self, arrays: dict[str, np.ndarray], source: str = "face model") -> None:
        super().__init__()
        skin = arrays.get("skin", np.isin(arrays.get("labels", ()), SKIN_CLASSES).astype(np.uint8))
        none = {"action_names": np.zeros(0, np.str_), "actions": np.zeros((0, len(arrays.get("expression", ()))))}
        arrays = none | arrays | {"skin": skin}
        check_arrays(arrays, _SHAPES, _LIMITS, source)
        coarse = int(arrays["coarse_vertices"])
        limits = {"coarse_vertices": len(arrays["mean"]) + 1, "coarse_triangles": coarse}
        check_arrays(arrays, {}, limits, source)
        for name in (*_FLOATS, *_INDICES, *_CLASSES):
            values = arrays[name].astype(np.float32 if name in _FLOATS else np.int64, order="C")
            self.register_buffer(_BUFFERS.get(name, name), torch.from_numpy(values), persistent=False)
        self.register_buffer("skin", torch.from_numpy(skin.astype(bool)), persistent=False)
        self.coarse_vertices = coarse
        self.expression_names = tuple(str(n) for n in arrays["expression_names"])
        self.action_names = tuple(str(n) for n in arrays["action_names"])
        self.name = str(arrays["name"])

    @classmethod
    def load(cls, path: Path | str) -> MorphableModel:
        """Read a model file.

        Raises:
            DataError: the file is missing, unreadable, or its arrays do not fit together.
        """
        return cls(read_npz(path), str(path))

    def arrays(self) -> dict[str, np.ndarray]:
        """Give the arrays of a model file (see the module's docstring)."""
        dtypes = dict.fromkeys(_FLOATS, np.float32) | dict.fromkeys(_INDICES, np.int32)
        dtypes |= dict.fromkeys((*_CLASSES, "skin"), np.uint8)
        buffers = {name: getattr(self, _BUFFERS.get(name, name)).cpu().numpy() for name in dtypes}
        return {name: values.astype(dtypes[name], copy=False) for name, values in buffers.items()} | {
            "coarse_vertices": np.array(self.coarse_vertices, np.int32),
            "expression_names": np.array(self.expression_names, dtype=np.str_),
            "action_names": np.array(self.action_names, dtype=np.str_),
            "name": np.array(self.name),
        }

    def save(self, path: Path | str) -> None:
        """Write a model file, atomically."""
        write_npz(path, **self.arrays())

    @property
    def identity_size(self) -> int:
        """Number of identity coefficients (alpha)."""
        return self.identity_basis.shape[0]

    @property
    def expression_size(self) -> int:
        """Number of expression coefficients (beta)."""
        return self.expression_basis.shape[0]

    @property
    def texture_size(self) -> int:
        """Number of texture coefficients (gamma)."""
        return self.albedo_basis.shape[0]

    def sizes(self) -> dict[str, int]:
        """Numbers of vertices, triangles and components."""
        return {
            "vertices": len(self.mean),
            "triangles": len(self.triangles),
            "coarse_vertices": self.coarse_vertices,
            "identity_components": self.identity_size,
            "expression_components": self.expression_size,
            "albedo_components": self.texture_size,
        }

    @property
    def landmarks_101(self) -> Tensor:
        """(101,) vertices of the 3D landmarks: the 106 without conventions.DROPPED_FROM_106."""
        kept = torch.ones(106, dtype=torch.bool, device=self.landmarks_106.device)
        kept[list(DROPPED_FROM_106)] = False
        return self.landmarks_106[kept]

    @property
    def alignment(self) -> Tensor:
        """(7,) vertices of conventions.ALIGNMENT_POINTS."""
        return self.landmarks_101[list(ALIGNMENT_IN_101)]

    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Shape of Eq. 1.

        Args:
            identity: (B, K) alpha, unit variance in the population.
            expression: (B, E) beta.
        Returns:
            (B, V, 3) mm, origin at the centroid of the mean.
        """
        offset = identity @ self.identity_basis.flatten(1) + expression @ self.expression_basis.flatten(1)
        return self.mean + offset.view(-1, *self.mean.shape)

    def albedo(self, texture: Tensor) -> Tensor:
        """Albedo of Eq. 1.

        Args:
            texture: (B, T) gamma, unit variance in the population.
        Returns:
            (B, V, 3) sRGB-encoded, unclamped (so that gradients live on beyond [0, 1]).
        """
        return self.albedo_mean + (texture @ self.albedo_basis.flatten(1)).view(-1, *self.albedo_mean.shape)

    def coarse(self) -> MorphableModel:
        """Give the same model on the mesh one subdivision coarser, with the landmark vertices appended.

        Vertex i < coarse_vertices is the same vertex in both; appended ones belong to no triangle. Coefficients keep
        their meaning.
        """
        fine = self.arrays()
        landmarks = np.concatenate((fine["landmarks_68"], fine["landmarks_106"]))
        extra = np.unique(landmarks[landmarks >= self.coarse_vertices])
        kept = np.concatenate((np.arange(self.coarse_vertices), extra))
        return self._part(fine, kept, triangles=fine["coarse_triangles"])

    def landmarks_alone(self) -> MorphableModel:
        """Give the same model of nothing but its landmarks, without triangles; they are told by their new indices."""
        whole = self.arrays()
        kept = np.unique(np.concatenate((whole["landmarks_68"], whole["landmarks_106"])))
        none = np.zeros((0, 3), np.int32)
        return self._part(whole, kept, triangles=none, coarse_triangles=none, coarse_vertices=np.array(0, np.int32))

    def _part(self, whole: dict[str, np.ndarray], kept: np.ndarray, **changed: np.ndarray) -> MorphableModel:
        """The model of the vertices `kept`, all landmarks among them, from the arrays of the whole, some changed."""
        place = np.full(len(whole["mean"]), -1)
        place[kept] = np.arange(len(kept))
        result = whole | changed
        for name in ("mean", "albedo_mean", "labels", "regions", "skin"):
            result[name] = whole[name][kept]
        for name in ("identity", "expression", "albedo"):
            result[name] = whole[name][:, kept]
        for name in ("landmarks_68", "landmarks_106"):
            result[name] = place[whole[name]]
        return MorphableModel(result, f"{self.name}, in part").to(self.mean)
