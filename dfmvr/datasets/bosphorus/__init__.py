"""Bosphorus: range images of faces that turn and make faces, with photographs and named landmarks."""
