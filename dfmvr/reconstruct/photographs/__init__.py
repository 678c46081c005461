"""A person's own photographs, one to twelve of a face, to a `Reconstruction`."""
