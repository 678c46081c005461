"""Differentiable rendering: rasterisation, interpolation, shading."""
