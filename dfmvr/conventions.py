"""Names, orders and units that every stage shares. Nothing here computes.

Geometry   millimetres, right-handed: x to the viewer's right, y up, z toward the camera; origin at the face model's
           centroid. Rotations act on column vectors: x' = R x + t with R = Rz Ry Rx.
Camera     pinhole at (0, 0, 1000) mm looking along -z, focal length 1015 px for an image 224 px wide (it scales with
           the image), principal point at the centre: u = W/2 + f x/(1000 - z), v = H/2 - f y/(1000 - z).
Pixels     x right, y down, in continuous coordinates: the image spans [0, W] x [0, H] and the centre of the top left
           pixel is (0.5, 0.5).
Sides      "left" and "right" of a body part are the person's own. "left" and "right" of a view tell where the nose
           points to in the image.
"""

VIEWS = ("left", "front", "right")

MOST_PHOTOS = 12
"""Photographs from which a face is made, at the most."""

FOCAL_PX_AT_224 = 1015.0
REFERENCE_SIZE_PX = 224
CAMERA_DISTANCE_MM = 1000.0

CLASSES = (
    "background",
    "skin",
    "left_brow",
    "right_brow",
    "left_eye",
    "right_eye",
    "nose",
    "mouth",
    "upper_lip",
    "lower_lip",
)
"""Classes of the face parser; a mask holds their index. `mouth` is what shows between the lips."""

MIRRORED_CLASS = (0, 1, 3, 2, 5, 4, 6, 7, 8, 9)
"""Class of each class's mirror image: a horizontal flip exchanges left and right brow and eye."""

REGIONS = ("other", "nose", "mouth", "eyes", "brows", "cheeks", "forehead")
"""Regions of the face in which errors are reported; a face model's `regions` array holds their index."""

ALIGNMENT_POINTS = (
    "outer_eye_right",
    "inner_eye_right",
    "inner_eye_left",
    "outer_eye_left",
    "nose_tip",
    "mouth_corner_right",
    "mouth_corner_left",
)
"""The seven points of the similarity alignment (Eq. 5), right = the person's right (in the image of a frontal face,
the left)."""

ALIGNMENT_IN_68 = (36, 39, 42, 45, 30, 48, 54)
"""Index of each alignment point among the 68 iBUG landmarks (iBUG 36 is the outer corner of the person's right eye)."""

ALIGNMENT_IN_101 = (47, 50, 53, 56, 41, 79, 85)
"""Index of each alignment point among the 101 3D landmarks (the authors' released code)."""

DROPPED_FROM_106 = (3, 15, 17, 25, 27)
"""Pixel-Face's 106 keypoints without these are the 101 3D landmarks (the authors' released index file)."""

MIRRORED_68 = tuple(
    [16 - i for i in range(17)]
    + [26, 25, 24, 23, 22, 21, 20, 19, 18, 17]
    + [27, 28, 29, 30, 35, 34, 33, 32, 31]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55]
    + [64, 63, 62, 61, 60, 67, 66, 65]
)
"""Index of the mirror image of each of the 68 iBUG landmarks."""
