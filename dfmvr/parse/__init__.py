"""Stage `parse`: pretrains the face parse net and writes masks and weight maps of aligned crops."""
