"""`dfmvr app`: what it answers, whom it refuses, what it leaves, and that it works as `dfmvr reconstruct` does."""

import getpass
import io
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import psutil
import pytest
from real_photographs import hopper
from running_app import RunningApp, Visitor

from dfmvr import Reconstructor, cli
from dfmvr.app.making import FaceWish
from dfmvr.app.sessions import LEFT_SECONDS, SILENT_SECONDS, PageSession, PageSessions
from dfmvr.conventions import MOST_PHOTOS
from dfmvr.errors import ConfigError, DfmvrError
from dfmvr.geometry.meshes import read_mesh


def png(pixels):
    return cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()


def left_in(folder):
    """What there is of ours in the folder of temporary files; torch puts an empty one beside it."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("torchinductor"))


@pytest.fixture(scope="module")
def photo():
    return png(cv2.resize(hopper(), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    running = RunningApp(tmp_path_factory.mktemp("temporary"))
    yield running
    assert running.end() == 0
    assert left_in(running.folder) == []


@pytest.fixture
def visitor(app):
    return Visitor(app)


REFUSED = {
    "another name of this machine": {"Host": "evil.example:{port}"},
    "another port": {"Host": "127.0.0.1:1"},
    "no port": {"Host": "127.0.0.1"},
    "no host": {"Host": None},
    "another page": {"Origin": "http://evil.example"},
    "a page of another port": {"Origin": "http://127.0.0.1:1"},
    "a page of a secure name": {"Origin": "https://127.0.0.1:{port}"},
    "a page without an origin": {"Origin": "null"},
    "what tells no origin": {"Origin": None},
    "what the browser knows to be another page": {"Sec-Fetch-Site": "cross-site"},
    "what the browser knows to be another port": {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_what_the_page_has_not_asked_is_refused(app, headers):
    headers = {name: value and value.format(port=app.port) for name, value in headers.items()}
    status, answered, _ = app.ask("sessions", "POST", headers=headers)
    assert status in (400, 403)  # without `Host`, HTTP itself refuses
    assert not [name for name in answered if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/sessions", "/x{token}", "/{token}x/", "//{token}/", "/%00/"])
def test_nothing_is_answered_without_the_token(app, path):
    status, _, body = app.ask(path.format(token=app.path.strip("/")), whole=True)
    assert status == 403
    assert app.path.strip("/").encode() not in body


def test_another_page_may_not_ask_beforehand_either(app):
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    status, answered, _ = app.ask("sessions", "OPTIONS", headers=asked)
    assert status == 403
    assert not [name for name in answered if name.lower().startswith("access-control")]


def test_only_this_machine_reaches_it(app):
    if sys.platform == "linux":  # where all of 127.0.0.0/8 is this machine
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", app.port), timeout=10)
    assert app.ask("", headers={"Host": f"localhost:{app.port}"})[0] == 200


@pytest.mark.parametrize("path", ["", "app.js", "app.css", "colours.css", "icon.svg", "sessions/none"])
def test_the_browser_is_told_to_be_strict(app, path):
    status, headers, body = app.ask(path)
    assert status == (404 if path.startswith("sessions") else 200)
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert b"https://" not in body


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"sides": 3}', b'{"sides": {"left": 9}}', b" " * 100_000])
def test_what_is_no_wish_is_refused(visitor, photo, body):
    visitor.drop("a.png", photo)
    status, _, told = visitor.app.ask(f"{visitor.path}/run", "POST", body)
    assert status in (400, 413)
    assert json.loads(told)["error"]
    assert visitor.state()["run"] is None


def test_what_there_is_not_is_not_found(visitor):
    for method, path in (
        ("GET", "photographs/1"),
        ("DELETE", "photographs/1"),
        ("GET", "made/1/face.glb"),
        ("GET", "x"),
    ):
        assert visitor.app.ask(f"{visitor.path}/{path}", method)[0] == 404
    assert visitor.start()[0] == 400
    assert visitor.app.ask(f"{visitor.path}/run", "DELETE")[0] == 204  # there is nothing to be cancelled


def test_names_are_of_files_in_the_folder_of_the_session(visitor, app):
    names = ["../../up.png", "a.png", "a.png", "A.PNG", "", "..", "\x00\n.png", "x" * 300 + ".png", "größe ☺.png"]
    for name in names:
        assert visitor.drop(name, b"no picture")[0] == 200
    told = [one["name"] for one in visitor.looked()["photographs"]]
    assert told[:4] == ["....up.png".strip("."), "a.png", "a (2).png", "A (3).PNG"]
    assert told[-1] == "größe ☺.png"
    assert len({name.casefold() for name in told}) == len(names)
    (folder,) = app.folder.rglob(f"{visitor.path.rpartition('/')[2]}/photographs")
    assert sorted(path.name for path in folder.iterdir()) == sorted(told)


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor.load()


def said(reconstructor, name):
    """What the command says of a photograph that it cannot use."""
    with pytest.raises(DfmvrError) as refused:
        reconstructor.from_any([Path(name)])
    return str(refused.value)


def test_bad_photographs_are_told_in_the_words_of_the_command(visitor, reconstructor, photo, tmp_path, monkeypatch):
    wide = cv2.imencode(".png", np.full((30, 30, 3), 500, np.uint16))[1].tobytes()
    bad = {"cut.png": photo[:5000], "grey.png": png(np.full((60, 60, 3), 128, np.uint8)), "words.txt": b"some words"}
    bad |= {"empty.jpg": b"", "wide.png": wide}
    monkeypatch.chdir(tmp_path)
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        visitor.drop(name, content)
    told = {one["name"]: one["problem"] for one in visitor.looked()["photographs"]}
    assert told == {name: said(reconstructor, name) for name in bad}
    visitor.start(fast=True)
    ended = visitor.ended()["run"]
    assert (ended["state"], ended["problem"]) == ("failed", told["cut.png"])
    visitor.drop("good.png", photo)
    visitor.start(fast=True)
    ended = visitor.ended()
    assert ended["run"]["state"] == "done"
    assert ended["made"]["notes"][: len(bad)] == [f"left out: {problem}" for problem in told.values()]


def test_there_are_no_more_photographs_than_the_command_takes(visitor):
    for _ in range(MOST_PHOTOS):
        assert visitor.drop("a.png", b"no picture")[0] == 200
    status, _, told = visitor.drop("a.png", b"no picture")
    assert (status, json.loads(told)["error"]) == (400, "photographs: expected one to 12, found 13")


def test_views_are_told_by_the_program_or_by_the_person(visitor, photo):
    visitor.drop("one.png", photo)
    visitor.drop("mirrored.png", png(cv2.imdecode(np.frombuffer(photo, np.uint8), 1)[:, ::-1, ::-1]))
    first, second = visitor.looked()["photographs"]
    assert first["yaw"] == pytest.approx(-second["yaw"], abs=6)
    (left, top, right, bottom) = first["faces"][0]
    marks = np.array(first["landmarks"])
    assert np.all((marks >= (left, top)) & (marks <= (right, bottom)))
    visitor.start(fast=True, sides={"left": first["number"], "front": second["number"]})
    assert visitor.ended()["run"]["state"] == "done"
    views = [view["name"] for view in json.loads(visitor.take("face.json"))["views"]]
    assert views == ["left", "front"]
    assert visitor.start(sides={"left": first["number"], "front": first["number"]})[0] == 400
    assert visitor.start(sides={"behind": first["number"]})[0] == 400


def test_files_are_those_of_the_command(visitor, photo, tmp_path):
    visitor.drop("one.png", photo)
    visitor.start(same_expression=True, within_model=True, avatar=True)
    seen = set()
    visitor.once(lambda state: seen.add(state["run"]["stage"]) or state["run"]["state"] == "done")
    assert any("step" in stage for stage in seen), seen
    (tmp_path / "one.png").write_bytes(photo)
    folder, options = tmp_path / "face", ["--viewer", "--avatar", "--same-expression", "--within-model"]
    assert cli.main(["reconstruct", str(tmp_path / "one.png"), "-o", str(folder), *options]) == 0
    for name in ("face.glb", "face.ply", "face.json", "avatar.glb"):
        assert visitor.take(name) == (folder / name).read_bytes(), name
    with zipfile.ZipFile(io.BytesIO(visitor.take("face.zip"))) as every:
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        assert set(every.namelist()) == names
        assert every.testzip() is None
    with zipfile.ZipFile(io.BytesIO(visitor.take("face_obj.zip"))) as parts:
        parts.extractall(tmp_path / "obj")
    assert read_mesh(tmp_path / "obj" / "face.obj").vertices == pytest.approx(read_mesh(folder / "face.obj").vertices)
    _, headers, page = visitor.app.ask(f"{visitor.path}/made/1/viewer.html")
    assert page == (folder / "viewer.html").read_bytes()
    assert "sandbox allow-scripts; default-src 'none'" in headers["content-security-policy"]


def test_what_is_being_made_can_be_cancelled_while_it_waits_and_while_it_runs(app, photo):
    running, waiting = Visitor(app), Visitor(app)
    for visitor in (running, waiting):
        visitor.drop("one.png", photo)
        visitor.start()
    assert waiting.state()["run"]["state"] == "waiting"
    assert waiting.state()["run"]["ahead"] == 1
    assert waiting.start()[0] == 400  # one at a time
    app.ask(f"{waiting.path}/run", "DELETE")
    assert waiting.state()["run"]["state"] == "cancelled"
    running.once(lambda state: "step" in state["run"]["stage"])
    app.ask(f"{running.path}/run", "DELETE")
    ended = running.ended()
    assert (ended["run"]["state"], ended["made"]) == ("cancelled", None)
    assert ended["run"]["share"] < 0.75  # before its files would have been written
    running.start(fast=True)
    assert running.ended()["run"]["state"] == "done"


@pytest.mark.parametrize("by", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_nothing_is_left_when_the_program_ends_in_the_middle_of_a_face(tmp_path, photo, by):
    app = RunningApp(tmp_path)
    visitor = Visitor(app)
    visitor.drop("one.png", photo)
    visitor.start()
    visitor.once(lambda state: state["run"]["state"] == "running" and state["run"]["stage"])
    assert [path.name for path in tmp_path.rglob("one.png")] == ["one.png"]
    assert app.end(getattr(signal, by)) == (0 if by == "SIGINT" else 128 + signal.SIGTERM)
    assert left_in(tmp_path) == []


def test_what_a_killed_program_left_goes_with_the_next(tmp_path):
    killed = RunningApp(tmp_path)
    Visitor(killed).drop("one.png", b"no picture")
    killed.end(signal.SIGKILL)
    (left,) = tmp_path.rglob("one.png")
    if sys.platform != "win32":
        assert (tmp_path / left.relative_to(tmp_path).parts[0]).stat().st_mode & 0o077 == 0
    RunningApp(tmp_path).end()
    assert left_in(tmp_path) == []


def test_a_folder_that_others_can_read_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"dfmvr-app-{getpass.getuser()}").mkdir(mode=0o755)
    assert cli.main(["app", "--no-browser"]) == 2
    assert "expected a folder of yours that nobody else can read; remove it" in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(app, capsys):
    assert cli.main(["app", "--no-browser", "--port", str(app.port)]) == 2
    assert capsys.readouterr().err.startswith(f"dfmvr app: error: --port {app.port}: cannot be listened on")


def test_networks_that_cannot_be_had_are_told_on_the_page(tmp_path, photo):
    app = RunningApp(tmp_path, "--checkpoint", "nowhere.safetensors")
    visitor = Visitor(app)
    visitor.drop("one.png", photo)
    state = visitor.once(lambda state: state["ready"])
    assert "nowhere.safetensors" in state["problem"]
    assert visitor.looked()["photographs"][0]["problem"] == state["problem"]
    app.end()


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(package):
    code = f"import sys; sys.modules[{package!r}] = None; from dfmvr.cli import main; sys.exit(main(['app']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"dfmvr app: error: {package} is not installed; `pip install 'dfmvr[app]'` brings it\n"


def test_the_page_waits_for_no_network():
    """Torch, which takes seconds to import, comes when the page is there."""
    served = (
        "import dfmvr.app.command, dfmvr.app.server, dfmvr.app.workshop, uvicorn, sys; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", served], check=True)


@pytest.mark.slow
def test_memory_stays_as_it_is_however_many_faces_are_made(app, photo):
    visitor, process, held = Visitor(app), psutil.Process(app.process.pid), []
    visitor.drop("one.png", photo)
    for _ in range(6):
        visitor.start()
        assert visitor.ended()["run"]["state"] == "done"
        held.append(process.memory_info().rss / 2**20)
    assert min(held[3:]) < max(held[:3]) + 25, held  # what one face needs for a moment is no growth
    (folder,) = app.folder.rglob(visitor.path.rpartition("/")[2])
    assert sorted(path.name for path in folder.iterdir()) == ["face6", "photographs"]


def test_a_session_ends_when_its_page_is_gone(tmp_path):
    sessions = PageSessions(tmp_path, SimpleNamespace())
    kept, left, silent = (sessions.create() for _ in range(3))
    now = sessions.find(left).heard
    sessions.find(left).left = True
    sessions.sweep(now + LEFT_SECONDS - 1)
    assert sessions.find(left) is not None  # and has come back by that
    sessions.find(left).left = True
    sessions.sweep(sessions._sessions[left].heard + LEFT_SECONDS + 1)
    assert (sessions.find(left), (tmp_path / left).exists()) == (None, False)
    assert sessions.find(kept) is not None
    sessions.sweep(sessions.find(silent).heard + SILENT_SECONDS + 1)
    assert left_in(tmp_path) == []


def test_pages_that_are_gone_are_looked_for_while_no_other_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("dfmvr.app.sessions.SWEEP_SECONDS", 0.01)
    sessions = PageSessions(tmp_path, SimpleNamespace())
    session = sessions.find(sessions.create())
    session.run = SimpleNamespace(is_open=True, stop=threading.Event(), state="running")
    session.left, session.heard = True, session.heard - LEFT_SECONDS - 1
    with sessions.swept():
        assert session.run.stop.wait(60)
        assert session.folder.exists()  # as long as the face is being made
        session.run.is_open = False
        ended = time.monotonic() + 60
        while session.folder.exists() and time.monotonic() < ended:
            time.sleep(0.01)
    assert left_in(tmp_path) == []


def test_photographs_that_come_at_the_same_time_have_files_of_their_own(tmp_path):
    session = PageSession(tmp_path / "one", SimpleNamespace(look=lambda *of: None))
    coming = [session.place_for("image.png") for _ in range(MOST_PHOTOS + 1)]
    assert len({photograph.path for photograph in coming}) == len(coming)
    for photograph in coming:
        photograph.path.touch()
    for photograph in coming[:-1]:
        session.add(photograph)
    with pytest.raises(ConfigError, match="found 13"):
        session.add(coming[-1])
    assert not coming[-1].path.exists()
    session.remove(coming[0])
    assert session.place_for("image.png").path == coming[0].path


def test_a_wish_names_each_photograph_once(tmp_path):
    photos = {tmp_path / "a": 1, tmp_path / "b": 1}
    FaceWish(photos, {"left": tmp_path / "a", "right": tmp_path / "b"})
    for sides in ({}, {"left": tmp_path / "a"}, {"left": tmp_path / "a", "right": tmp_path / "a"}):
        with pytest.raises(ConfigError, match="each photograph once"):
            FaceWish(photos, sides)
    with pytest.raises(ConfigError, match="one or more, found none"):
        FaceWish({}, {})
