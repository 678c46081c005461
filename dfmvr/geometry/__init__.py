"""Geometry without learning: rotations, cameras, similarities, meshes."""
