"""The tables of the report: from the scores to errors, their statistics, and what is printed."""
