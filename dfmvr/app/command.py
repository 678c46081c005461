"""Open a page on which photographs become a face.

In     photographs that are dropped on the page.
Gives  a face to turn, and its files to take: nothing else is left on the machine, and nothing leaves it.

Starlette and uvicorn serve it, with a page of plain HTML: toolkits for pages weigh more than they spare here:
NiceGUI brings 34 packages, Gradio 47 MB in its own wheel alone, these two four and 4 MB, and the page asks nobody for
scripts or fonts.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from dfmvr.errors import UnavailableError
from dfmvr.reconstruct.loading import add_networks, load_reconstructor

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
CLOSING_SECONDS = 2


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
        from dfmvr.app.server import application
        from dfmvr.app.sessions import PageSessions
        from dfmvr.app.workshop import Workshop
    except ModuleNotFoundError as error:
        raise UnavailableError(f"{error.name} is not installed; `pip install 'dfmvr[app]'` brings it") from None
    listening = _listen(args.port)
    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="dfmvr-app-", ignore_cleanup_errors=True) as folder:
        workshop = Workshop(lambda: load_reconstructor(args))
        try:
            hosts = frozenset(f"{name}:{port}" for name in (HOST, "localhost"))
            app = application(PageSessions(Path(folder), workshop), token, hosts)
            address = f"http://{HOST}:{port}/{token}/"
            log.info("%s is the page, for this machine alone; Ctrl+C ends it", address)
            if not args.no_browser and _has_screen():
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            _serve(app, listening)
        finally:
            workshop.close()


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


def _serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answer until a signal comes; what a terminated process has to clean up comes after."""
    import uvicorn

    def terminated(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, terminated)  # for when uvicorn, which closes at it, hands it on
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", ws="none", server_header=False,
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )  # fmt: skip
    try:
        uvicorn.Server(settings).run(sockets=[listening])
    except KeyboardInterrupt:
        log.info("the page is closed, and its photographs are removed")


def _has_screen() -> bool:
    """Whether a browser can be opened that is no text browser in this terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
