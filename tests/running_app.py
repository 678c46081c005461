"""`dfmvr app` as a process of its own, and a client that asks as its page does, or otherwise."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).parents[1]
WAIT = 400
"""Seconds in which a busy machine has made a face."""


class RunningApp:
    """The program; `address` is what it tells, temporary files are in `folder`."""

    def __init__(self, folder, *options):
        self.folder = folder
        environment = os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "dfmvr", "app", "--no-browser", *options]
        # in a terminal, which nohup is not
        ready = None if sys.platform == "win32" else partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=ready)
        line = self.process.stderr.readline()
        assert " is the page" in line, line + self.process.stderr.read()
        self.address = line.split()[0]
        parts = urlsplit(self.address)
        self.host, self.port, self.path = parts.netloc, parts.port, parts.path
        assert self.ask("")[0] == 200  # from now on it handles signals

    def ask(self, path, method="GET", body=None, headers=(), whole=False):
        """Status, headers and body of an answer; `path` is below the token unless it is whole."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        sent = {"Host": self.host} | ({} if method == "GET" else {"Origin": f"http://{self.host}"}) | dict(headers)
        sent = {name: value for name, value in sent.items() if value is not None}
        connection.putrequest(method, path if whole else self.path + path, skip_host=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        with contextlib.closing(connection):
            return answer.status, dict(answer.getheaders()), answer.read()

    def told(self, *asked, **how):
        """The JSON of an answer."""
        return json.loads(self.ask(*asked, **how)[2] or b"null")

    def end(self, by=signal.SIGINT):
        """Stop the program; its exit code."""
        self.process.send_signal(by)
        code = self.process.wait(timeout=WAIT)
        self.process.stderr.close()
        return code


class Visitor:
    """A session as a page has one."""

    def __init__(self, app):
        self.app = app
        self.path = f"sessions/{app.told('sessions', 'POST')['session']}"

    def drop(self, name, content):
        return self.app.ask(f"{self.path}/photographs?name={quote(name)}", "POST", content)

    def state(self):
        return self.app.told(self.path)

    def once(self, true):
        """The state as soon as something is true of it."""
        until = time.monotonic() + WAIT
        while not true(state := self.state()):
            assert time.monotonic() < until, state
            time.sleep(0.1)
        return state

    def looked(self):
        return self.once(lambda state: all(one["looked"] for one in state["photographs"]))

    def start(self, **options):
        return self.app.ask(f"{self.path}/run", "POST", json.dumps(options).encode())

    def ended(self):
        return self.once(lambda state: state["run"] and state["run"]["state"] not in ("waiting", "running"))

    def take(self, name):
        status, _, content = self.app.ask(f"{self.path}/made/{self.state()['made']['number']}/{name}")
        assert status == 200
        return content
