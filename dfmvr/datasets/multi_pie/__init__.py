"""Multi-PIE: people seen by fifteen cameras at once, under twenty lights; the original tree and the cropped one."""
