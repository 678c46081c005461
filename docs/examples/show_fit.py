"""Show what the fit does to the network's answer: `python docs/examples/show_fit.py OUTPUT FACE [FACE ...]`.

A FACE is one photograph, or left, front and right joined by commas. A row each: the photograph, then the model's own
colours and the shape, as the network answers and as the fit finds them.
"""

import sys
from pathlib import Path

from PIL import Image

from dfmvr import Reconstructor
from dfmvr.reconstruct.export.pictures import overlay
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView

HEIGHT = 300


def tiles(face: Reconstruction, view: SeenView) -> list[Image.Image]:
    """Photograph, colours and shape of a view, about the face."""
    drawn = overlay(face, view)
    width = drawn.shape[1] // 3
    height = round(width * view.photo.shape[0] / view.photo.shape[1])
    photo = Image.fromarray(view.photo).resize((width, height))
    panels = [photo, *(Image.fromarray(drawn[:height, k * width : (k + 1) * width]) for k in (1, 2))]
    points = face.project(view)[:, :2] * (width / view.photo.shape[1])
    low, high = points.min(0), points.max(0)
    side, centre = 0.7 * (high - low).max(), (low + high) / 2
    box = [round(c + sign * side) for sign in (-1, 1) for c in centre]
    return [panel.crop(box).resize((HEIGHT, HEIGHT)) for panel in panels]


def main(output: Path, faces: list[str]) -> None:
    """Reconstruct each face and draw a row."""
    reconstructor = Reconstructor.load()
    picture = Image.new("RGB", (5 * HEIGHT, len(faces) * HEIGHT))
    for number, photos in enumerate(faces):
        face = reconstructor.from_any(photos.split(","))
        fitted = reconstructor.fit(face)
        front = min(range(len(face.views)), key=lambda k: abs(face.views[k].yaw_deg))
        row = tiles(face, face.views[front]) + tiles(fitted, fitted.views[front])[1:]
        for place, tile in enumerate(row):
            picture.paste(tile, (place * HEIGHT, number * HEIGHT))
    picture.save(output, quality=88)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
