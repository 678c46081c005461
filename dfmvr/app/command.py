"""Open a page on which photographs become a face.

In     photographs that are dropped on the page.
Gives  a face to turn, and its files to take: nothing else is left on the machine, and nothing leaves it.

Starlette and uvicorn serve it, with a page of plain HTML: toolkits for pages weigh more than they spare here:
NiceGUI brings 34 packages, Gradio 47 MB in its own wheel alone, these two four and 4 MB, and the page asks nobody for
scripts or fonts.
"""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import secrets
import socket
import stat
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dfmvr.errors import OutputError, UnavailableError
from dfmvr.files import output_error
from dfmvr.folders import working_folder
from dfmvr.reconstruct.loading import add_networks, load_reconstructor

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--port", type=int, default=0, help="of the page's address (default: any that is free)")
    parser.add_argument("--no-browser", action="store_true", help="tell the address only, without opening it")
    add_networks(parser)


def main(args: argparse.Namespace, settings: None) -> None:
    """Serve the page until Ctrl+C.

    Raises:
        UnavailableError: the packages that serve it are not installed, or the port is taken.
    """
    try:
        from dfmvr.app.server import application, serve
        from dfmvr.app.sessions import PageSessions
        from dfmvr.app.workshop import Workshop
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise UnavailableError(f"{package} is not installed; `pip install 'dfmvr[app]'` brings it") from None
    listening = _listen(args.port)
    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    with _private_folder() as folder:
        workshop = Workshop(lambda: load_reconstructor(args))
        try:
            hosts = frozenset(f"{name}:{port}" for name in (HOST, "localhost"))
            sessions = PageSessions(folder, workshop)
            app = application(sessions, token, hosts)
            address = f"http://{HOST}:{port}/{token}/"
            log.info("%s is the page, for this machine alone; Ctrl+C ends it", address)
            if not args.no_browser and _has_screen():
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            with sessions.swept():
                serve(app, listening)
            log.info("the page is closed, and its photographs are removed")
        finally:
            workshop.close()


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder that this user alone can read, removed in the end; those that killed programs have left go too.

    Raises:
        OutputError: it cannot be made.
    """
    parent = Path(tempfile.gettempdir(), f"dfmvr-app-{_user()}")
    try:
        parent.mkdir(mode=0o700, exist_ok=True)
        status = parent.lstat()
        open_to_others = os.name != "nt" and (status.st_uid != os.getuid() or status.st_mode & 0o077)
        if not stat.S_ISDIR(status.st_mode) or open_to_others:
            raise OutputError(f"{parent}: expected a folder of yours that nobody else can read; remove it")
        with working_folder(parent) as folder:
            yield folder
    except OSError as error:
        raise error if isinstance(error, OutputError) else output_error(parent, error) from error
    finally:
        with suppress(OSError):  # another program of this user is at work there
            parent.rmdir()


def _user() -> str:
    """The user's name, or number where it has none, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the one up to Python 3.12, the other since
        return str(os.getuid())


def _listen(port: int) -> socket.socket:
    """A socket that other machines cannot reach."""
    listening = socket.socket()
    try:
        if os.name != "nt":  # there it would let others listen too
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()
    except (OSError, OverflowError) as error:
        raise UnavailableError(f"--port {port}: cannot be listened on ({error}); name another or none") from None
    return listening


def _has_screen() -> bool:
    """Whether a browser can be opened that is no text browser in this terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
