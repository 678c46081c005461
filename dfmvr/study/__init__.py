"""The study: its methods, and the tables of the paper that they stand in."""
