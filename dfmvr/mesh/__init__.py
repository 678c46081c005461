"""Stage `mesh`: scans of every form to meshes and landmarks in mm, range images by Delaunay triangulation."""
