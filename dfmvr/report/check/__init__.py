"""The check of the tables, which shares nothing with what makes them but the methods and the paper's tables."""
