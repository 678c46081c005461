"""Files that ship with the package: trained weights and a face model, each listed with its digest in SHA256SUMS."""
