"""A page on this machine: photographs are dropped on it, a face can be turned and its files taken."""
