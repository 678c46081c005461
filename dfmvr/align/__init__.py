"""Stage `align`: landmarks, five-point alignment, crops and the manifest.

needs   a data set folder (datasets.pixel_face) and the face model
gives   images.npy, samples.npz and manifest.parquet

`align_photo` and its neighbours do the same for a person's own photographs.
"""
