"""From light on the sensor to a picture file: exposure, lens, noise, white balance, tone curve, JPEG."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.colour import encode_srgb


class CameraPipeline(NamedTuple):
    """How one camera turns light into a picture."""

    exposure: float
    white_balance: np.ndarray  # (3,) gains
    blur_px: float  # standard deviation of the lens and focus, pixels
    motion_px: float  # length of the motion blur, pixels
    motion_angle: float  # radians
    shot_noise: float  # variance of the noise for a signal of 1
    read_noise: float  # standard deviation of the noise without light
    contrast: float  # strength of the tone curve's S, 0 for none
    jpeg_quality: int


def draw_pipeline(rng: np.random.Generator, height_px: int, jpeg_quality: tuple[int, int]) -> CameraPipeline:
    """Draw a camera: most are decent, some are noisy or out of focus."""
    scale = height_px / 256
    poor = rng.uniform() < 0.15
    low, high = sorted(jpeg_quality)
    return CameraPipeline(
        exposure=float(np.exp(rng.normal(0.0, 0.22))),
        white_balance=np.exp(rng.normal(0, 0.05, size=3) * [1, 0.3, 1]).astype(np.float32),
        blur_px=float(rng.uniform(0.3, 0.8) * scale + (rng.uniform(0, 1.2) * scale if poor else 0)),
        motion_px=float(rng.uniform(2, 5) * scale) if rng.uniform() < 0.06 else 0.0,
        motion_angle=float(rng.uniform(0, np.pi)),
        shot_noise=float(10 ** rng.uniform(-4.2, -3.0 + 0.5 * poor)),
        read_noise=float(10 ** rng.uniform(-3.2, -2.2)),
        contrast=float(rng.uniform(-0.05, 0.5)),
        jpeg_quality=int(rng.integers(low, high + 1)),
    )


def vary_pipeline(pipeline: CameraPipeline, rng: np.random.Generator) -> CameraPipeline:
    """A second camera of the same rig: same make, slightly different exposure and white balance."""
    return pipeline._replace(
        exposure=pipeline.exposure * float(np.exp(rng.normal(0, 0.07))),
        white_balance=(pipeline.white_balance * np.exp(rng.normal(0, 0.02, size=3))).astype(np.float32),
        blur_px=pipeline.blur_px * float(np.exp(rng.normal(0, 0.15))),
    )


def develop(light: np.ndarray, pipeline: CameraPipeline, rng: np.random.Generator) -> np.ndarray:
    """Turn light into a picture.

    Args:
        light: (H, W, 3) float32 linear RGB; 1 is what a white surface sends back in the light that falls on the face.
        pipeline: the camera.
        rng: source of the noise.
    Returns:
        (H, W, 3) uint8, sRGB, before compression.
    """
    image = cv2.GaussianBlur(light * np.float32(pipeline.exposure), (0, 0), max(pipeline.blur_px, 0.05))
    if pipeline.motion_px > 1:
        image = cv2.filter2D(image, -1, _streak(pipeline.motion_px, pipeline.motion_angle))
    # the gains of a whole row: numpy multiplies by three at a time six times more slowly
    image *= np.tile(pipeline.white_balance, image.shape[1]).reshape(image.shape[1:])
    image = np.maximum(image, 0)
    deviation = np.sqrt(pipeline.shot_noise * image + pipeline.read_noise**2)
    image += deviation * rng.standard_normal(size=image.shape, dtype=np.float32)
    encoded = encode_srgb(np.clip(image, 0, 1))
    curve = encoded * encoded * (3 - 2 * encoded)
    encoded = encoded + np.float32(pipeline.contrast) * (curve - encoded)
    return np.clip(encoded * 255 + 0.5, 0, 255).astype(np.uint8)


def _streak(length: float, angle: float) -> np.ndarray:
    """A line of `length` pixels as a blur kernel."""
    size = int(np.ceil(length)) | 1
    kernel = np.zeros((size, size), np.float32)
    centre, reach = size // 2, length / 2
    start = (round(centre - reach * np.cos(angle)), round(centre - reach * np.sin(angle)))
    end = (round(centre + reach * np.cos(angle)), round(centre + reach * np.sin(angle)))
    cv2.line(kernel, start, end, 1.0, 1)
    return kernel / kernel.sum()
