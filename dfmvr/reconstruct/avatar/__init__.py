"""The whole head of a face, for animation: geometry, colours, and its file."""
