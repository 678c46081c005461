"""A photo session anywhere: a person in the light of a random place, photographed from any side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.simulate.studio.backdrop import Backdrop, draw_backdrop, paint_backdrop
from dfmvr.simulate.studio.camera import Camera
from dfmvr.simulate.studio.light import Light, draw_light, mean_light
from dfmvr.simulate.studio.photograph import Shadow, Sitter, expose, see, shadow_of
from dfmvr.simulate.studio.sensor import CameraPipeline, develop


class Session(NamedTuple):
    """What all photographs taken at once share."""

    sitter: Sitter
    light: Light
    shadow: Shadow
    backdrop: Backdrop

    def shoot(
        self, camera: Camera, pipeline: CameraPipeline, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take one photograph (H, W, 3) uint8, and tell the class of each of its pixels (H, W)."""
        level = np.float32(mean_light(self.light).mean())
        backdrop = paint_backdrop(self.backdrop, rng, camera.shape) * level
        view = see(self.sitter, camera)
        light = expose(camera, view.layers, self.light, self.shadow, backdrop)
        return develop(light / level, pipeline, rng), view.mask


def draw_session(sitter: Sitter, rng: np.random.Generator) -> Session:
    """Draw light and backdrop for a person."""
    light = draw_light(rng)
    return Session(sitter, light, shadow_of(light, sitter), draw_backdrop(rng))
