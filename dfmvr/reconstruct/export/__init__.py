"""The files of a face: meshes with a texture baked from its photographs, numbers, pictures, a page to turn it."""
