"""The morphable face model (Eq. 1): the file format, the module that evaluates it, and the builder of the open one."""
