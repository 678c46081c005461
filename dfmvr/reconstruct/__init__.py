"""Stage `reconstruct`: photographs to coefficients and meshes.

Four things: the samples of a data set (`dataset`, `mean_face`, `floor`, each a command of the study; `sample_files` is
what they write), a person's own photographs (`photographs/`, the command `dfmvr reconstruct`), the fit of a face to its
photographs (`fit/`), and the files of a face (`export/`). The network is asked in `regression`, for the first two.
"""
