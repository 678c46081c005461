"""Multi-PIE: people seen by fifteen cameras at once, under twenty lights; the original tree and the cropped one."""

from dfmvr.datasets.multi_pie.dataset import EXPRESSIONS, YAWS, MultiPie, write_cropped_photo, write_photo

__all__ = ["EXPRESSIONS", "YAWS", "MultiPie", "write_cropped_photo", "write_photo"]
