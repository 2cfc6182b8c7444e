"""A headless Chromium that tests talk to through two pipes (the DevTools protocol): no driver."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars "
    "--no-first-run --disable-extensions --disable-background-networking --remote-debugging-pipe"
).split()
_PATIENCE = 60
_KEYS = {
    "Tab": {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
    "Enter": {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
    "Space": {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32, "text": " "},
}


def chromium() -> str | None:
    """Where the browser is, if it is."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """The one page of a browser."""

    def __init__(self, write: int, read: int):
        self._write, self._read = write, read
        self._count, self._session, self._left, self._loaded = 0, None, b"", False
        self.requests: list[str] = []  # addresses of all that was loaded
        self.problems: list[str] = []  # exceptions and messages of the console
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, path: Path, *, width: int, height: int = 800) -> None:
        """Shows a file in a window of that size, and waits until it is loaded."""
        self.requests.clear()
        self.resize(width, height)
        self._loaded = False
        self._ask("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._note(self._next())
        while self.run("document.readyState") != "complete":  # that was the empty page's event
            time.sleep(0.01)

    def resize(self, width: int, height: int = 800) -> None:
        """In CSS pixels; narrow windows are those of a telephone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._ask("Emulation.setDeviceMetricsOverride", **size)

    def emulate(self, *, media: str = "screen", scheme: str = "light") -> None:
        """On paper, or in the dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._ask("Emulation.setEmulatedMedia", media=media, features=features)

    def allow_scripts(self, allowed: bool) -> None:
        """From the next page on."""
        self._ask("Emulation.setScriptExecutionDisabled", value=not allowed)

    def run(self, script: str) -> Any:
        """The value of an expression."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def press(self, key: str, *, shift: bool = False) -> None:
        """As a person does."""
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, modifiers=8 * shift, **_KEYS[key])

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        answer = self._ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _ask(self, method: str, **parameters: Any) -> dict:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _next(self) -> dict:
        while b"\0" not in self._left:
            if not select.select([self._read], [], [], _PATIENCE)[0]:
                raise TimeoutError(f"no word from the browser for {_PATIENCE} s")
            if not (more := os.read(self._read, 2**20)):
                raise RuntimeError("the browser has ended")
            self._left += more
        first, _, self._left = self._left.partition(b"\0")
        return json.loads(first)

    def _note(self, event: dict) -> None:
        method, parameters = event["method"], event.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.problems.append(json.dumps(parameters))


@contextmanager
def opened(folder: Path) -> Iterator[Page]:
    """A browser that keeps its things in ``folder``, for as long as it is needed."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # The protocol asks for the file descriptors 3 and 4.
    command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    process = subprocess.Popen(
        ["bash", "-c", command, chromium(), *_OPTIONS, f"--user-data-dir={folder}"],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(ours_out, ours_in)
    finally:
        process.terminate()
        process.wait(timeout=30)
        os.close(ours_out)
        os.close(ours_in)
