"""A person's own photographs, one to three of a face, to a `Reconstruction`."""
