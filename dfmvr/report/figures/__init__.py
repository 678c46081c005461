"""The pictures of the report: plots, panels of single samples, and meshes to turn."""
