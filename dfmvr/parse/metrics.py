"""How well predicted masks agree with true ones."""

from __future__ import annotations

import numpy as np

from dfmvr.conventions import CLASSES


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int = len(CLASSES)) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        truth, predicted: integer arrays of one shape, class ids below `classes`.
        classes: number of classes.
    Returns:
        (classes, classes) int64: row = true class, column = predicted class.
    """
    pairs = truth.astype(np.int64).ravel() * classes + predicted.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def intersection_over_union(counts: np.ndarray) -> np.ndarray:
    """IoU of each class over all counted pixels.

    Args:
        counts: (classes, classes), see `confusion`.
    Returns:
        (classes,) in [0, 1]; NaN where a class is neither present nor predicted.
    """
    hits = np.diag(counts).astype(float)
    union = counts.sum(0) + counts.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def summary(counts: np.ndarray) -> dict:
    """IoU by class name, their mean, and pixel accuracy, ready for JSON (None where undefined)."""
    iou = intersection_over_union(counts)
    defined = iou[np.isfinite(iou)]
    total = counts.sum()
    return {
        "iou": {name: None if np.isnan(value) else float(value) for name, value in zip(CLASSES, iou, strict=True)},
        "mean_iou": float(defined.mean()) if len(defined) else None,
        "pixel_accuracy": float(np.trace(counts) / total) if total else None,
    }
