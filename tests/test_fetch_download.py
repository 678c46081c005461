"""Downloads from a real server on this machine: resumed, checked, tried again, and never half done."""

import hashlib
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from dfmvr.errors import ConfigError, DataError, OutputError, UnavailableError
from dfmvr.fetch import download as downloads
from dfmvr.fetch.download import download

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = 150_000 // downloads.CHUNK * downloads.CHUNK


class Server(ThreadingHTTPServer):
    """Serves `content`. The first answers go as `script` says, a word each; the later ones as they should."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.ranges = CONTENT, '"one"', True
        self.type = "application/zip"
        self.script, self.asked = [], []
        self.url = f"http://127.0.0.1:{self.server_port}/data.zip"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server, start = self.server, 0
        server.asked.append(self.headers.get("Range"))
        word = server.script.pop(0) if server.script else ""
        if word.isdigit() or word.startswith("redirect:"):
            self.send_response(302 if ":" in word else int(word))
            self.send_header("Location", word.partition(":")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and server.ranges and self.headers.get("If-Range", server.tag) == server.tag:
            start = int(wanted[1])
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        body = server.content[start:]
        self.send_header("Content-Type", server.type)
        if server.tag:
            self.send_header("ETag", server.tag)
        if word != "unknown length":
            self.send_header("Content-Length", str(len(body)))
        else:
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if word == "drop" else body)
        self.close_connection = self.close_connection or word == "drop"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def fetch(url, path, sha256=SHA256):
    return download(url, path, sha256, "datasets.celebamask_hq.url", pause_s=0)


def test_a_file_comes_whole_and_alone(server, tmp_path):
    assert fetch(server.url, tmp_path / "below" / "a.zip").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["a.zip"]


def test_what_is_there_is_not_downloaded_again(server, tmp_path):
    fetch(server.url, tmp_path / "a.zip")
    fetch(server.url, tmp_path / "a.zip")
    assert len(server.asked) == 1
    (tmp_path / "a.zip").write_bytes(b"other")
    with pytest.raises(OutputError, match="stands there; remove it"):
        fetch(server.url, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"other"


def test_a_dropped_connection_is_gone_on_with(server, tmp_path):
    server.script = ["drop", "drop", "drop"]
    assert fetch(server.url, tmp_path / "a.zip", None).read_bytes() == CONTENT
    # half of what was asked for came each time, and whole pieces of it were kept
    size, expected = 0, [None]
    for _ in range(3):
        size += (len(CONTENT) - size) // 2 // downloads.CHUNK * downloads.CHUNK
        expected.append(f"bytes={size}-" if size else None)
    assert server.asked == expected


@pytest.mark.parametrize("drops", [1, 99])
def test_a_server_without_ranges_starts_again_and_is_given_up_if_it_always_drops(server, tmp_path, drops):
    server.script, server.ranges = ["drop"] * drops, False
    if drops == 1:
        assert fetch(server.url, tmp_path / "a.zip", None).read_bytes() == CONTENT
        assert server.asked == [None, f"bytes={HALF}-"]
    else:
        with pytest.raises(UnavailableError, match="cannot be downloaded"):
            fetch(server.url, tmp_path / "a.zip")
        assert len(server.asked) == 1 + downloads.ATTEMPTS
        assert not (tmp_path / "a.zip").exists()


def interrupted(server, tmp_path):
    """Leave half a download behind, as a stopped program does."""
    server.script = ["drop"] + ["503"] * downloads.ATTEMPTS
    with pytest.raises(UnavailableError, match="503"):
        fetch(server.url, tmp_path / "a.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip.part", "a.zip.part.json"]
    assert (tmp_path / "a.zip.part").stat().st_size == HALF
    server.asked.clear()


def test_the_next_call_goes_on_where_one_ended(server, tmp_path):
    interrupted(server, tmp_path)
    assert fetch(server.url, tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [f"bytes={HALF}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("tag", ['"two"', ""])
@pytest.mark.parametrize("length", [299_993, 1000])
def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old_one(server, tmp_path, tag, length):
    interrupted(server, tmp_path)
    server.content, server.tag = CONTENT[::-1][:length], tag
    assert fetch(server.url, tmp_path / "a.zip", None).read_bytes() == server.content


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"url": 1}', b"\xff", None, "another address"])
def test_a_part_nothing_is_known_of_is_not_gone_on_with(server, tmp_path, damage):
    interrupted(server, tmp_path)
    other = damage == "another address"
    if not other:
        record = tmp_path / "a.zip.part.json"
        record.unlink() if damage is None else record.write_bytes(damage)
    assert fetch(server.url + "?other" * other, tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [None]


@pytest.mark.parametrize(("size", "asked"), [(len(CONTENT), 1), (len(CONTENT) + 50_000, 2)])
def test_a_part_that_is_whole_is_kept_and_one_that_is_longer_thrown_away(server, tmp_path, size, asked):
    interrupted(server, tmp_path)
    (tmp_path / "a.zip.part").write_bytes(CONTENT.ljust(size, b"0"))
    assert fetch(server.url, tmp_path / "a.zip").read_bytes() == CONTENT
    assert len(server.asked) == asked


def test_a_length_that_is_not_told_is_no_obstacle(server, tmp_path):
    server.script = ["unknown length"]
    assert fetch(server.url, tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(DataError, match=r"SHA-256 is not 0{64}; check datasets\.celebamask_hq\.url"):
        fetch(server.url, tmp_path / "a.zip", "0" * 64)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("digits", "error"), [(8, None), (7, ConfigError)])
def test_the_beginning_of_a_checksum_is_enough(server, tmp_path, digits, error):
    if error:
        with pytest.raises(error, match="expected a SHA-256"):
            fetch(server.url, tmp_path / "a.zip", SHA256[:digits])
    else:
        assert fetch(server.url, tmp_path / "a.zip", SHA256[:digits].upper()).exists()


@pytest.mark.parametrize("status", ["404", "403", "500"])
def test_an_error_of_the_server_names_the_key(server, tmp_path, status):
    server.script = [status] * 99
    with pytest.raises(UnavailableError, match=rf"answered {status} .*check .*datasets\.celebamask_hq\.url"):
        fetch(server.url, tmp_path / "a.zip")
    assert len(server.asked) == (downloads.ATTEMPTS if status == "500" else 1)


def test_a_web_page_is_not_the_file(server, tmp_path):
    server.type = "text/html; charset=utf-8"
    with pytest.raises(UnavailableError, match="a web page instead of a file"):
        fetch(server.url, tmp_path / "a.zip")
    assert not any(tmp_path.iterdir())


def test_no_network_is_said(tmp_path, server):
    server.server_close()
    with pytest.raises(UnavailableError, match=r"Connection refused.*check the network and datasets\.celebamask_hq"):
        fetch(server.url, tmp_path / "a.zip")


@pytest.mark.parametrize("url", ["http://example.org/a.zip", "ftp://example.org/a.zip", "https://[", "data.zip", ""])
def test_only_safe_addresses_are_asked(tmp_path, url):
    with pytest.raises(ConfigError, match=r"datasets\.celebamask_hq\.url: expected an address"):
        fetch(url, tmp_path / "a.zip")


def test_a_redirection_is_followed_but_not_to_an_unsafe_address(server, tmp_path):
    server.script = [f"redirect:{server.url}"]
    assert fetch(server.url, tmp_path / "a.zip").read_bytes() == CONTENT
    server.script = ["redirect:ftp://127.0.0.1/data.zip"]
    with pytest.raises((ConfigError, UnavailableError)):
        fetch(server.url, tmp_path / "b.zip")


def test_a_file_address_is_copied(tmp_path):
    (tmp_path / "my data.zip").write_bytes(CONTENT)
    url = (tmp_path / "my data.zip").as_uri()
    assert fetch(url, tmp_path / "a.zip").read_bytes() == CONTENT
    for other in ("missing.zip", ""):
        with pytest.raises(UnavailableError, match="no such file"):
            fetch((tmp_path / other).as_uri(), tmp_path / "b.zip")


def test_too_little_room_is_said_before_writing(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000 + downloads.RESERVE))
    with pytest.raises(OutputError, match="free some space"):
        fetch(server.url, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip.part").exists()


def test_a_folder_that_cannot_be_written_is_said(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another"):
        fetch(server.url, tmp_path / "file" / "a.zip")
