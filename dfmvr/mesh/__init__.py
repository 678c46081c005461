"""Stage `mesh`: range images to triangle meshes by Delaunay triangulation."""
