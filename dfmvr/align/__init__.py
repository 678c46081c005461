"""Stage `align`: landmarks, five-point alignment, crops and the manifest.

`crop` aligns a photograph by the landmarks of its face; `find` finds them, by our networks (`cascade`) or the library
face-alignment; `pretrain` trains the networks on `examples`.
"""
