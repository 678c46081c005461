"""The fit: descent from the network's answer to the face that explains the photographs themselves."""
