"""Errors that a user can act on: what, where, expected, found, and what to do.

The command line prints them as one line and exits with code 2; every other exception is a defect of the program.
"""


class DfmvrError(Exception):
    """Base of all errors that the user, not the programmer, can mend."""


class ConfigError(DfmvrError, ValueError):
    """A key or value of the configuration is wrong."""


class DataError(DfmvrError, ValueError):
    """A file or sample is missing, unreadable or inconsistent."""


class OutputError(DfmvrError, OSError):
    """An output cannot be written: no room, no permission, not a folder."""


class OccupiedError(OutputError):
    """Somebody else's file stands where an output belongs."""


class UnavailableError(DfmvrError, RuntimeError):
    """A package, a download or a device that the configuration asks for is not to be had here."""
