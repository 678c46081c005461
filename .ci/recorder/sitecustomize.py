"""Found by Python at its start where this folder is on PYTHONPATH: notes what each `dfmvr` command runs on.

A command's arguments, the modules of the package that it loaded, and the package's files that it opened, are written as
JSON into the folder RECORD, for check_record.py.
"""

import atexit
import json
import os
import sys

opened: set[str] = set()


def note(event: str, arguments: tuple) -> None:
    """Keep the names of opened files."""
    if event == "open" and isinstance(arguments[0], str):
        opened.add(arguments[0])


def write() -> None:
    """Write what was noted, if this was a command of the package."""
    command = sys.modules.get("dfmvr.cli")
    if command is not None and "snakemake" not in sys.modules:
        package = os.path.dirname(os.path.realpath(command.__file__))
        modules = [m.__file__ for name, m in sys.modules.items() if name.split(".")[0] == "dfmvr" and m.__file__]
        files = {os.path.realpath(file) for file in (*modules, *opened)}
        told = {"arguments": sys.argv[1:], "files": sorted(f for f in files if f.startswith(package + os.sep))}
        with open(os.path.join(os.environ["RECORD"], f"{os.getpid()}.json"), "w") as file:
            json.dump(told, file)


if "RECORD" in os.environ:
    sys.addaudithook(note)
    atexit.register(write)
