"""How each method is trained: a module for each, found by its name, whose `TRAINING` turns batches into losses."""
