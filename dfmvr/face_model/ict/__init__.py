"""ICT-FaceKit, as a face model and as a population of its own."""
