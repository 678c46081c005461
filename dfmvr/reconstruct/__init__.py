"""Stage `reconstruct`: photographs to coefficients and meshes."""
