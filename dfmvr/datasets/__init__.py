"""Readers and writers of the data sets, each in its public layout.

A reader never trusts a file: whatever is missing, truncated or inconsistent is a DataError that names the file and
what to do. The writers exist for the stand-ins and the tests, and store exactly what the readers expect.
"""
