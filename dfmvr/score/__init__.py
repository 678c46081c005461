"""Stage `score`: the distance between scans and registered predictions."""
