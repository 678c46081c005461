"""Pictures of meshes and their arrangement in labelled grids."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion, gaussian_filter

from dfmvr.geometry.normals import vertex_normals
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.geometry.vectors import unit
from dfmvr.rendering.renderer import render
from dfmvr.report.figures.style import error_colours
from dfmvr.report.source import TILE_PX

HEADING_LETTERS, SMALLEST_LETTERS = 15, 9
_FINER = 2
_SURFACE, _OUTSIDE = (0.80, 0.80, 0.80), (0.72, 0.72, 0.74)
_LIGHTS = (((0.35, 0.45, 0.82), 0.72), ((-0.7, 0.1, 0.7), 0.22))
"""Direction to each light (unit length within 1 %) and its strength; the rest of the light is even."""


class SeenMesh(NamedTuple):
    """What the camera sees of a mesh, at `_FINER` times the size of the tile."""

    mask: np.ndarray  # (S, S) bool
    normals: np.ndarray  # (S, S, 3), not normalised
    values: np.ndarray | None  # (S, S, C)


def see_mesh(
    vertices: np.ndarray, triangles: np.ndarray, yaw_deg: float, size: int, values: np.ndarray | None = None
) -> SeenMesh:
    """Rasterise a mesh turned about the vertical axis.

    Args:
        vertices: (V, 3) mm, near the origin, face toward +z.
        triangles: (F, 3), counter-clockwise seen from outside.
        yaw_deg: a positive angle turns the nose to the image's right.
        size: width and height of the final tile, px.
        values: (V, C) carried along and interpolated.
    """
    rotation = euler_to_rotmat(torch.tensor([0.0, math.radians(yaw_deg), 0.0]))
    points = torch.as_tensor(np.asarray(vertices), dtype=torch.float32)[None] @ rotation.T
    faces = torch.from_numpy(np.ascontiguousarray(triangles, np.int64))
    channels = [vertex_normals(points, faces)]
    if values is not None:
        channels.append(torch.as_tensor(np.asarray(values), dtype=torch.float32)[None])
    seen = render(points, faces, torch.cat(channels, -1), size * _FINER, cull_backfaces=True)
    image = seen.image[0].permute(1, 2, 0).numpy()
    return SeenMesh(seen.alpha[0, 0].numpy() > 0, image[..., :3], image[..., 3:] if values is not None else None)


def shade_seen(seen: SeenMesh, colours: np.ndarray | None = None) -> np.ndarray:
    """Light what is seen, grey or in `colours` (S, S, 3), on white; uint8 (size, size, 3)."""
    normals = unit(seen.normals)
    light = np.full(seen.mask.shape, 0.24)
    for direction, strength in _LIGHTS:
        light += strength * np.clip(normals @ np.array(direction), 0, None)
    base = np.array(_SURFACE) if colours is None else colours
    image = np.where(seen.mask[..., None], np.clip(base * light[..., None], 0, 1), 1.0)
    return _shrink(image)


def error_picture(seen: SeenMesh, scale_mm: float) -> np.ndarray:
    """Colour what is seen by its error, with a dark line at every whole millimetre; uint8 (size, size, 3).

    Args:
        seen: with two values a pixel: the error in mm, and 1 where it was measured, else 0.
        scale_mm: error that the last colour stands for.
    """
    error, measured = seen.values[..., 0], seen.mask & (seen.values[..., 1] > 0.999)
    colours = np.where(measured[..., None], error_colours(error, scale_mm), np.array(_OUTSIDE))
    colours[whole_millimetres(error, measured)] *= 0.35
    soft = seen._replace(normals=seen.normals + np.array([0, 0, 2.0]) * seen.mask[..., None])
    return shade_seen(soft, np.clip(colours * 1.06, 0, 1))


def whole_millimetres(error: np.ndarray, measured: np.ndarray, blur_px: float = 4.0) -> np.ndarray:
    """Mark pixels (S, S) between which the smoothed error passes a whole millimetre.

    The lines are drawn from smoothed errors, as the noise of a scan would tear them; the colours are not smoothed.
    """
    weight = gaussian_filter(measured.astype(float), blur_px)
    smooth = gaussian_filter(np.where(measured, error, 0.0), blur_px) / np.maximum(weight, 1e-9)
    whole = np.floor(smooth)
    lines = np.zeros(measured.shape, bool)
    lines[:, :-1] |= whole[:, 1:] != whole[:, :-1]
    lines[:-1] |= whole[1:] != whole[:-1]
    return lines & binary_erosion(measured, iterations=3)


def close_up(seen: SeenMesh, centre: tuple[float, float], size: int) -> SeenMesh:
    """Cut a part of what is seen: `size` pixels of the final tile around `centre`, in shares of width and height."""
    half, side = size * _FINER // 2, seen.mask.shape[0]
    x, y = (int(np.clip(round(share * side), half, side - half)) for share in centre)
    part = np.s_[y - half : y + half, x - half : x + half]
    values = None if seen.values is None else seen.values[part]
    return SeenMesh(seen.mask[part], seen.normals[part], values)


def _shrink(image: np.ndarray) -> np.ndarray:
    """Average blocks of `_FINER` squared pixels, for smooth outlines; floats in [0, 1] to uint8."""
    size = image.shape[0] // _FINER
    small = image.reshape(size, _FINER, size, _FINER, -1).mean((1, 3))
    return np.round(255 * small).astype(np.uint8)


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The letters of the plots, which Matplotlib carries."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


class Tile(NamedTuple):
    """A picture, uint8 (S, S, 3), and a line of text under it."""

    image: np.ndarray
    text: str = ""


def grid(
    rows: Sequence[Sequence[Tile | None]], heads: Sequence[str], sides: Sequence[str], tile_px: int = TILE_PX
) -> Image.Image:
    """Arrange tiles with a heading over each column and a name beside each row; None leaves a place free."""
    gap, side, foot = 8, 26 if any(sides) else 4, 20
    room = tile_px + gap - 6
    headings = [_in_two(text, room) for text in heads]
    head = 12 + 18 * max(map(len, headings)) if any(heads) else 4
    feet = [foot if any(tile and tile.text for tile in row) else 0 for row in rows]
    width = side + len(heads) * (tile_px + gap)
    height = head + sum(tile_px + gap + extra for extra in feet)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for i, lines in enumerate(headings):
        centre = side + i * (tile_px + gap) + tile_px // 2
        for k, line in enumerate(lines, start=1):
            _centred(draw, (centre, k * head // (len(lines) + 1)), line, room)
    top = head
    for row, name, extra in zip(rows, sides, feet, strict=True):
        if name:
            label = Image.new("RGB", (tile_px, side - 4), "white")
            _centred(ImageDraw.Draw(label), (tile_px // 2, side // 2 - 2), name, tile_px, 14, bold=False)
            sheet.paste(label.rotate(90, expand=True), (0, top))
        for i, tile in enumerate(row):
            if tile is None:
                continue
            left = side + i * (tile_px + gap)
            sheet.paste(Image.fromarray(tile.image).resize((tile_px,) * 2, Image.Resampling.LANCZOS), (left, top))
            _centred(draw, (left + tile_px // 2, top + tile_px + foot // 2), tile.text, tile_px + gap, 14, bold=False)
        top += tile_px + gap + extra
    return sheet


def _centred(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    room: float,
    size: int = HEADING_LETTERS,
    bold: bool = True,
) -> None:
    """Write a line around `place`, smaller if it needs more than `room` px; a subscript `L_{l3d}` is set lower."""
    while size > SMALLEST_LETTERS and _length(text, size, bold) > room:
        size -= 1
    x = place[0] - _length(text, size, bold) / 2
    for part, low in _parts(text):
        letters = _letters(size, low, bold)
        draw.text((x, place[1] + size // 3 + 3 * low), part, fill="#1d2329", font=letters, anchor="ls")
        x += letters.getlength(part)


def _in_two(text: str, room: float) -> list[str]:
    """A heading as one line or, where that needs more than `room` px, as two: before a bracket, or equally long."""
    cuts = [i for i, letter in enumerate(text) if letter == " "]
    if not cuts or _length(text) <= room:
        return [text]

    def cost(lines: list[str]) -> tuple[bool, bool, float]:
        longest = max(map(_length, lines))
        return longest > room, not lines[1].startswith("("), longest

    return min(([text[:cut], text[cut + 1 :]] for cut in cuts), key=cost)


def _parts(text: str) -> list[tuple[str, bool]]:
    """A text in pieces, and whether each is a subscript."""
    return [(part, i % 2 == 1) for i, part in enumerate(re.split(r"_\{([^{}]*)\}", text)) if part]


def _length(text: str, size: int = HEADING_LETTERS, bold: bool = True) -> float:
    return sum(_letters(size, low, bold).getlength(part) for part, low in _parts(text))


def _letters(size: int, low: bool, bold: bool) -> ImageFont.FreeTypeFont:
    return font(round(0.74 * size) if low else size, bold)


def colour_bar(scale_mm: float) -> np.ndarray:
    """A tile with the colours of the errors, numbered in mm; uint8 (S, S, 3)."""
    image = Image.new("RGB", (TILE_PX, TILE_PX), "white")
    top, bottom, left, right = 40, TILE_PX - 16, 78, 104
    share = np.linspace(1, 0, bottom - top)
    strip = np.round(255 * error_colours(share * scale_mm, scale_mm)).astype(np.uint8)
    image.paste(Image.fromarray(np.repeat(strip[:, None], right - left, 1)), (left, top))
    draw = ImageDraw.Draw(image)
    draw.text((left - 4, top - 22), "distance (mm)", fill="#1d2329", font=font(13), anchor="lm")
    for value in range(int(scale_mm) + 1):
        y = bottom - (bottom - top) * value / scale_mm
        draw.line((left, y, right, y), fill="#222222", width=1)
        last = "and more" if value == scale_mm else ""
        draw.text((right + 8, y), f"{value} {last}", fill="#1d2329", font=font(13), anchor="lm")
    return np.asarray(image)


def swatches(entries: Sequence[tuple[str, tuple[float, float, float]]], width: int = 850) -> Image.Image:
    """A line of colours, each channel in [0, 1], with their names."""
    image = Image.new("RGB", (width, 26), "white")
    draw = ImageDraw.Draw(image)
    left = 2.0
    for name, colour in entries:
        fill = tuple(round(255 * channel) for channel in colour)
        draw.rectangle((left, 5, left + 20, 21), fill=fill, outline="#555555")
        draw.text((left + 28, 13), name, fill="#1d2329", font=font(14), anchor="lm")
        left += 28 + font(14).getlength(name) + 24
    return image


def stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures below each other, flush left on white."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet


def encode(image: Image.Image, quality: int = 88) -> bytes:
    """The picture as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return buffer.getvalue()
