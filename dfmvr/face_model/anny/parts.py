"""Parts of the head mesh, and the classes of its vertices."""

from dfmvr.conventions import CLASSES

PARTS = ("skin", "left_eye", "right_eye", "tongue", "upper_teeth", "lower_teeth")
HEAD_CLASSES = (*CLASSES, "hair", "ear", "neck")
"""Classes 0 to 9 are those of the face parser; the scalp, ears and neck count as background for it."""
HAIR, EAR, NECK = 10, 11, 12

IRIS_MM, PUPIL_MM = 5.9, 1.9
"""ASSUME: radii of an adult's iris and, in daylight, pupil."""
