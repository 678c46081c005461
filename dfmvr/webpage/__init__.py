"""Pages that hold all they show: one HTML file with its style, scripts, pictures and meshes; it asks for nothing."""
