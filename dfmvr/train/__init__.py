"""Stage `train`: one variant of DF-MVR or a baseline (Sec. IV)."""
