"""Reconstruct a face from Python: `python docs/examples/reconstruct_photographs.py OUTPUT PHOTO [PHOTO PHOTO]`."""

import sys
from pathlib import Path

import numpy as np

from dfmvr import Reconstructor
from dfmvr.folders import writing_folder
from dfmvr.reconstruct.export.files import export


def main(output: Path, photos: list[str]) -> None:
    """Reconstruct, say what was found, and write the files."""
    reconstructor = Reconstructor.load()  # once; then as many faces as you like
    face = reconstructor.fit(reconstructor.from_any(photos))  # or reconstructor(left, front, right)
    for note in face.notes:
        print("note:", note)
    size = np.ptp(face.vertices, axis=0)  # (V, 3) mm, x to the viewer's right, y up, z toward the camera
    print(f"{len(face.vertices)} vertices, {size[0]:.0f} x {size[1]:.0f} x {size[2]:.0f} mm")
    for view in face.views:
        seen = face.project(view, face.vertices[face.model.landmarks_68.numpy()])[:, :2]  # px of the photograph
        if len(view.landmarks) == len(seen):
            off = np.linalg.norm(seen - view.landmarks, axis=1).mean()
            print(f"{view.name}: the model's landmarks are {off:.1f} px from those found, on average")
    moved = np.linalg.norm(face.vertices - face.neutral().vertices, axis=1)
    print(f"its expression moves vertices by up to {moved.max():.1f} mm")
    with writing_folder(output, "reconstruct") as folder:  # which may hold files of yours; they stay
        for path in export(folder, face, ("glb",), viewer=True):
            print(output / path.name)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
