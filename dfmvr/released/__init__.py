"""What the authors' released code does otherwise than the paper: losses, colours, weight map, weights."""
