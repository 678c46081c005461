"""What the page asks for, answered by Starlette (https://www.starlette.io) and uvicorn.

All addresses begin with a random token, `Host` must be this machine's, and what changes something must come from the
page itself: other pages that the browser shows can neither read nor post, by whatever name they reach this machine.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import zipfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dfmvr.app.making import AVATAR, VIEWER
from dfmvr.app.sessions import DroppedPhotograph, PageSession, PageSessions
from dfmvr.errors import DfmvrError
from dfmvr.files import output_error
from dfmvr.webpage.pages import shared

MAX_BYTES = 512 << 20
"""ASSUME: no photograph's file is larger."""

CLOSING_SECONDS = 2
"""What is being answered when the program ends has so much time."""

MAX_TOLD_BYTES = 1 << 16
"""Of what the page tells beside photographs."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
VIEWER_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""The page of a face holds all that it shows in itself, and may ask for nothing."""

SECURED = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

TYPES = {
    "": "text/html",
    "colours.css": "text/css",
    "app.css": "text/css",
    "app.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

DOWNLOADS = {
    "face.glb": ("face.glb",),
    "face.ply": ("face.ply",),
    "face.json": ("face.json",),
    "face_obj.zip": ("face.obj", "face.mtl", "face.png"),
    AVATAR: (AVATAR,),
    "face.zip": (),
}
"""What can be taken, and the files that it holds: one, several in a ZIP file, or all."""


class PageGuard:
    """Lets nothing in that the page of this token has not asked for, and tells the browser to be as strict.

    Args of the constructor: what is guarded; the token; the values of `Host` that are this machine's.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str]) -> None:
        self._app, self._token, self._hosts = app, token, hosts
        self._origins = frozenset(f"http://{host}" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURED.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        answer = self._app if refusal is None else PlainTextResponse(refusal, 403)
        await answer(scope, receive, secured)

    def _refusal(self, scope: Scope) -> str | None:
        """Why a request is refused; None if it is not."""
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self._hosts:
            return "this is no address of dfmvr's page"
        given = scope["path"].removeprefix("/").partition("/")[0]
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return "the address lacks the token that `dfmvr app` has told"
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        changes = scope["method"] not in ("GET", "HEAD")
        if (origin is not None and origin not in self._origins) or (changes and origin is None):
            return "another page has asked"
        if changes and site not in (None, "same-origin"):
            return "another page has asked"
        return None


class Page:
    """The answers.

    Args of the constructor: the sessions of the browser's pages.
    """

    def __init__(self, sessions: PageSessions) -> None:
        self._sessions = sessions
        session, photograph = "/sessions/{session}", "/sessions/{session}/photographs/{number:int}"
        self.routes = [
            *(Route(f"/{name}", self.file, methods=["GET"]) for name in TYPES),
            Route("/sessions", self.begin, methods=["POST"]),
            Route(session, self.of(self.tell), methods=["GET"]),
            Route(f"{session}/leave", self.of(self.leave), methods=["POST"]),
            Route(f"{session}/photographs", self.of(self.drop), methods=["POST"]),
            Route(photograph, self.of(self.picture), methods=["GET"]),
            Route(photograph, self.of(self.remove), methods=["DELETE"]),
            Route(f"{photograph}/face", self.of(self.choose), methods=["POST"]),
            Route(f"{session}/run", self.of(self.start), methods=["POST"]),
            Route(f"{session}/run", self.of(self.cancel), methods=["DELETE"]),
            Route(f"{session}/made/{{number:int}}/{{name}}", self.of(self.take), methods=["GET"]),
        ]

    def of(self, answer: Callable[[Request, PageSession], Awaitable[Response]]) -> Callable[[Request], Any]:
        """An answer about a session, which must be there; an error of the user is told as it is."""

        async def answered(request: Request) -> Response:
            session = self._sessions.find(request.path_params["session"])
            if session is None:
                raise HTTPException(404, "this page's photographs have been removed; load it again")
            try:
                return await answer(request, session)
            except DfmvrError as error:
                return JSONResponse({"error": str(error)}, 400)

        return answered

    async def file(self, request: Request) -> Response:
        """A file of the page itself."""
        name = request.url.path.rpartition("/")[2]
        own = resources.files(__package__).joinpath("templates", name or "index.html")
        held = shared(name) if name == "colours.css" else own.read_text(encoding="utf-8")
        return Response(held, media_type=TYPES[name])

    async def begin(self, request: Request) -> Response:
        """Begin a session."""
        return JSONResponse({"session": self._sessions.create()})

    async def tell(self, request: Request, session: PageSession) -> Response:
        """Tell all that the page shows."""
        return JSONResponse(session.told())

    async def leave(self, request: Request, session: PageSession) -> Response:
        """Note that the page has been left; that it is loaded again cannot be told from this."""
        session.left = True
        return Response(status_code=204)

    async def drop(self, request: Request, session: PageSession) -> Response:
        """Take a photograph: the request's body is its file, `name` in the address what it is called."""
        photograph = session.place_for(request.query_params.get("name", ""))
        held = 0
        try:
            with photograph.path.open("wb") as stream:
                async for part in request.stream():
                    held += len(part)
                    if held > MAX_BYTES:
                        raise HTTPException(413, f"{photograph.path.name}: expected {MAX_BYTES >> 20} MiB at the most")
                    stream.write(part)
        except BaseException as error:  # refused, no room left, or the page was left meanwhile
            session.give_up(photograph)
            if isinstance(error, OSError):
                raise output_error(photograph.path.name, error) from error
            raise
        session.add(photograph)
        return JSONResponse({"number": photograph.number, "name": photograph.path.name})

    async def picture(self, request: Request, session: PageSession) -> Response:
        """A small picture of a photograph."""
        found = _photograph(request, session).found
        if found is None or not found.picture:
            raise HTTPException(404, "no picture")
        return Response(found.picture, media_type="image/jpeg")

    async def remove(self, request: Request, session: PageSession) -> Response:
        """Take a photograph off the page."""
        session.remove(_photograph(request, session))
        return Response(status_code=204)

    async def choose(self, request: Request, session: PageSession) -> Response:
        """Take another face of a photograph."""
        photograph, face = _photograph(request, session), (await _told(request)).get("face")
        if not isinstance(face, int) or isinstance(face, bool) or face < 1:
            raise HTTPException(400, "face: expected 1 (the largest) or more")
        session.choose(photograph, face)
        return Response(status_code=204)

    async def start(self, request: Request, session: PageSession) -> Response:
        """Have a face made."""
        session.start(await _told(request))
        return Response(status_code=204)

    async def cancel(self, request: Request, session: PageSession) -> Response:
        """Stop what is being made."""
        session.cancel()
        return Response(status_code=204)

    async def take(self, request: Request, session: PageSession) -> Response:
        """A file of the face that was made, or several in a ZIP file; the page on which it can be turned."""
        made, name = session.made, request.path_params["name"]
        if made is None or made.number != request.path_params["number"] or name not in (*DOWNLOADS, VIEWER):
            raise HTTPException(404, "no such file")
        if name == VIEWER:
            return FileResponse(made.folder / VIEWER, headers={"content-security-policy": VIEWER_POLICY})
        path = made.folder / name
        if name.endswith(".zip"):
            await run_in_threadpool(_pack, path, DOWNLOADS[name])
        if not path.exists():
            raise HTTPException(404, "no such file")
        return FileResponse(path, filename=name)


def _photograph(request: Request, session: PageSession) -> DroppedPhotograph:
    """The photograph that a request is about."""
    found = session.photographs.get(request.path_params["number"])
    if found is None:
        raise HTTPException(404, "no such photograph")
    return found


async def _told(request: Request) -> dict[str, Any]:
    """What the page tells as JSON."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_TOLD_BYTES:
            raise HTTPException(413, "expected less JSON")
    try:
        told = json.loads(bytes(body))
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise HTTPException(400, "expected a JSON object")
    return told


def _pack(path: Path, names: tuple[str, ...]) -> None:
    """Put files beside `path`, or all that are no ZIP file, into a ZIP file; they are packed already."""
    if path.exists():
        return
    given = names or sorted(one.name for one in path.parent.iterdir() if one.suffix != ".zip" and one.is_file())
    partial = path.with_name(f".{secrets.token_hex(4)}.zip")
    with zipfile.ZipFile(partial, "w") as archive:
        for name in given:
            archive.write(path.parent / name, name)
    partial.replace(path)


def _refused(request: Request, error: Exception) -> Response:
    """A refusal as the page reads it."""
    told = error if isinstance(error, HTTPException) else HTTPException(500)
    return JSONResponse({"error": told.detail}, told.status_code)


def application(sessions: PageSessions, token: str, hosts: frozenset[str]) -> ASGIApp:
    """The page behind its guard.

    Args:
        sessions: of the browser's pages.
        token: without which nothing is answered.
        hosts: values of `Host` that are this machine's, with the port.
    """
    routes = [Mount(f"/{token}", routes=Page(sessions).routes)]
    return PageGuard(Starlette(routes=routes, exception_handlers={HTTPException: _refused}), token, hosts)


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answer until Ctrl+C. A process that is terminated, or whose terminal is closed, leaves by SystemExit, so that it
    can clean up.
    """

    def terminated(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, terminated)  # for when uvicorn, which closes at it, hands it on
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which uvicorn does not know
        signal.signal(signal.SIGHUP, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
    how = {"log_level": "warning", "access_log": False, "server_header": False, "lifespan": "off", "ws": "none"}
    settings = uvicorn.Config(app, **how, timeout_graceful_shutdown=CLOSING_SECONDS)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[listening])
