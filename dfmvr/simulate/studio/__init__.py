"""Where people are photographed and scanned: light, cameras, backdrops, scanners."""
