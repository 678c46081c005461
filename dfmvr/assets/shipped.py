"""The names of the files that turn photographs into faces where the user names no others."""

SHIPPED = {"checkpoint": "network.safetensors", "parser": "parser.safetensors", "face_model": "face_model.npz"}
"""What ships with the package, by what it is."""
