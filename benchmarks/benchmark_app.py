"""Measure the page of `dfmvr app`: `python benchmarks/benchmark_app.py LEFT FRONT RIGHT [--faces N]`; times and memory.

Times are wall-clock, and the processor time of the program beside them, which a busy machine changes less.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from running_app import RunningApp, Visitor


def taken(process: psutil.Process, since: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Seconds of wall-clock and of processor time since an earlier answer."""
    times = process.cpu_times()
    return time.monotonic() - since[0], times.user + times.system - since[1]


def told(what: str, seconds: tuple[float, float]) -> None:
    """Print a row."""
    print(f"{what:<40} {seconds[0]:6.1f} s, of the processor {seconds[1]:6.1f} s", flush=True)


def main(photos: list[Path], faces: int) -> None:
    """Start the program, make faces, end it."""
    with tempfile.TemporaryDirectory() as folder:
        began = (time.monotonic(), 0.0)
        app = RunningApp(Path(folder))
        process = psutil.Process(app.process.pid)
        try:
            assert app.ask("")[0] == 200
            told("the page is there", taken(process, began))
            visitor = Visitor(app)
            visitor.once(lambda state: state["ready"])
            told("the networks are", taken(process, began))
            for round_of in ("the first time", "again"):
                since = taken(process)
                for photo in photos:
                    visitor.drop(photo.name, photo.read_bytes())
                visitor.looked()
                told(f"{len(photos)} photographs looked at, {round_of}", taken(process, since))
                since = taken(process)
                visitor.start()
                assert visitor.ended()["run"]["state"] == "done"
                told(f"a face, {round_of}", taken(process, since))
                for one in visitor.state()["photographs"]:
                    app.ask(f"{visitor.path}/photographs/{one['number']}", "DELETE")
            visitor.drop(photos[0].name, photos[0].read_bytes())
            for number in range(1, faces + 1):
                visitor.start()
                assert visitor.ended()["run"]["state"] == "done"
                print(f"face {number}: {process.memory_info().rss / 2**20:.0f} MiB", flush=True)
        finally:
            app.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--faces", type=int, default=0, help="so many faces of the first photograph, for the memory")
    given = parser.parse_args()
    main(given.photos, given.faces)
