"""Pictures of the parser's work: IoU of each class, Fig. 2 and Fig. 4 on held-out photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfmvr.conventions import CLASSES, REFERENCE_SIZE_PX
from dfmvr.files import writing
from dfmvr.parse.weight_map import dilate

PALETTE = np.array(
    [
        *((0, 0, 0), (204, 170, 140), (31, 119, 180), (23, 190, 207), (44, 160, 44)),
        *((188, 189, 34), (255, 127, 14), (120, 20, 40), (214, 39, 40), (227, 119, 194)),
    ],
    np.uint8,
)
"""Colour of each class, RGB."""


def plot_iou(path: Path | str, test: dict, black: dict, title: str) -> None:
    """Draw the IoU of every class as bars, on photographs and with a black background.

    Args:
        path: the picture to write.
        test, black: `metrics.summary` of the two.
        title: names the data.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(CLASSES) + 1)
    for shift, name, found in ((-0.2, "photographs", test), (0.2, "black background", black)):
        values = [*found["iou"].values(), found["mean_iou"]]
        heights = [np.nan if value is None else 100 * value for value in values]
        bars = axes.bar(places + shift, heights, 0.38, label=name)
        axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set_xticks(places, [name.replace("_", "\n") for name in (*CLASSES, "mean")], fontsize=8)
    axes.set(ylabel="IoU (%)", ylim=(0, 119), title=title)
    axes.legend(loc="upper right", ncols=2, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with writing(path) as partial:
        figure.savefig(partial, dpi=150)


def mask_columns(
    images: np.ndarray, masks: np.ndarray, weights: np.ndarray, dilation_px: float, truth: np.ndarray | None = None
) -> dict[str, list[np.ndarray]]:
    """Columns for `show_masks`: image, mask, dilated mask and weight map.

    Args:
        images: (N, S, S, 3) uint8 RGB.
        masks: (N, S, S) predicted class ids.
        weights: (N, S, S) their weight maps.
        dilation_px: of the dilated mask, in pixels at 224.
        truth: (N, S, S) annotated class ids, shown before the predicted ones.
    """
    radius_px = dilation_px * masks.shape[-1] / REFERENCE_SIZE_PX
    dilated = np.zeros_like(masks)
    for picture, mask in zip(dilated, masks, strict=True):
        for label in range(1, len(CLASSES)):
            picture[dilate(mask == label, radius_px)] = label
    annotated = {} if truth is None else {"annotated": list(truth)}
    return {
        "image": list(images),
        **annotated,
        "mask": list(masks),
        f"dilated by {radius_px:.1f} px": list(dilated),
        "weight map": list(weights),
    }


def show_masks(path: Path | str, columns: dict[str, list[np.ndarray]], title: str) -> None:
    """Draw columns of pictures with the legend of the classes (Figs. 2 and 4).

    Args:
        path: the picture to write.
        columns: heading to pictures, one a row: (S, S, 3) uint8 RGB, class ids (S, S) or, where the heading begins
            with "weight", weights (S, S).
        title: names the data.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = max(1, *(len(pictures) for pictures in columns.values()))
    figure = Figure(figsize=(1.6 * len(columns), 1.6 * rows + 1.1), layout="constrained")
    grid = figure.subplots(rows, len(columns), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for column, (heading, pictures) in enumerate(columns.items()):
        grid[0, column].set_title(heading, fontsize=8)
        for row, picture in enumerate(pictures):
            if picture.ndim == 3:
                grid[row, column].imshow(picture)
            elif heading.startswith("weight"):
                grid[row, column].imshow(picture, cmap="gray", vmin=0, vmax=255)
            else:
                grid[row, column].imshow(PALETTE[picture], interpolation="nearest")
    patches = [
        Patch(facecolor=colour / 255, edgecolor="grey", label=name.replace("_", " "))
        for name, colour in zip(CLASSES, PALETTE, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=5, fontsize=7, frameon=False)
    figure.suptitle(title, fontsize=9)
    with writing(path) as partial:
        figure.savefig(partial, dpi=150)
