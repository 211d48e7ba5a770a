"""A real browser without a window, spoken to over the Chrome DevTools Protocol on a pair of pipes.

Debian's chromium-headless-shell; where it is not installed, Browser() fails and says how to get it.
"""

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time

PROGRAM = "chromium-headless-shell"


class Browser:
    """One page. Events of its console, log and network are kept in `events` from the start."""

    def __init__(self, profile, seconds=60):
        path = shutil.which(PROGRAM)
        if path is None:
            raise AssertionError(f"no {PROGRAM} here, which this test needs: ./tools/setup --tests installs it "
                                 f"(Debian: apt-get install {PROGRAM})")
        self.seconds = seconds
        self.events, self._rest, self._id = [], b"", 0
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # The browser reads its descriptor 3 and writes 4: ours must lie out of the way before.
        far = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs_in, theirs_out)]
        words = [path, "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--disable-gpu",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        if os.geteuid() == 0:
            words.append("--no-sandbox")  # the only way that it runs as root
        self._process = subprocess.Popen(["bash", "-c", f'exec "$@" 3<&{far[0]} 4>&{far[1]}', "browser", *words],
                                         pass_fds=far, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, start_new_session=True)
        for fd in (theirs_in, theirs_out, *far):
            os.close(fd)
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)

    def close(self):
        """Returns when all of it is gone, so that its profile can be removed."""
        self._session = None
        try:
            self.call("Browser.close")
            self._process.wait(self.seconds)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            pass  # it is killed below
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # its own group: what it started is in it
        except ProcessLookupError:
            pass
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def _message(self, end):
        """The next message; None: it did not come in time."""
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            part = os.read(self._in, 1 << 16)
            if not part:
                raise AssertionError(f"{PROGRAM} ended with {self._process.wait()}")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(message)
        if "method" in message:
            self.events.append(message)
        return message

    def call(self, method, **params):
        self._id += 1
        request = {"id": self._id, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._out, json.dumps(request).encode() + b"\0")
        end = time.monotonic() + self.seconds
        while True:
            message = self._message(end)
            if message is None:
                raise AssertionError(f"{method}: no answer within {self.seconds} s")
            if message.get("id") == self._id:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]

    def load(self, url):
        """Returns when the page has been loaded and its scripts have run."""
        seen = len(self.events)
        self.call("Page.navigate", url=url)
        end = time.monotonic() + self.seconds
        while not any(e["method"] == "Page.loadEventFired" for e in self.events[seen:]):
            if self._message(end) is None:
                raise AssertionError(f"{url} was not loaded within {self.seconds} s")

    def evaluate(self, script):
        """The value of an expression in the page; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def point(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def complaints(self):
        """What the page wrote to the console as an error or warning, threw, or what the browser blocked."""
        found = []
        for event in self.events:
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"])
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(params["args"])
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"])
        return found

    def requested(self):
        """Every address that the page asked for."""
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
