"""The sections of the page, each of which puts its tables, figures and words together."""
