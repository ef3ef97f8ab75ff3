"""A small real server of the chat protocol on loopback, which misbehaves as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from freehold.core.sections import UserEndpoint

Body = dict[str, Any]


@dataclass
class Served:
    """What the server does, and what it was asked.

    `answer` gives the text for the body of a request. `trouble` is asked first, with the body and the number of the
    request (from 1): True when it has answered by itself. `models` None: the list of models breaks.
    """

    answer: Callable[[Body], str] = lambda body: "red"
    trouble: Callable[[Handler, Body, int], bool] = lambda handler, body, number: False
    models: tuple[str, ...] | None = ("tiny",)
    system_fingerprint: str | None = None
    asked: list[Body] = field(default_factory=list[Body])
    keys: list[str | None] = field(default_factory=list[str | None])
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    @property
    def questions(self) -> list[str]:
        """The last turns of the requests that are no probes."""
        from freehold.models.endpoint_identity import PROBES

        said = [str(body["messages"][-1]["content"]) for body in self.asked]
        return [text for text in said if text not in PROBES]

    def spec(self, **changes: Any) -> UserEndpoint:
        """Return settings for this server."""
        return UserEndpoint.model_validate({"url": self.url, "model": "tiny", **changes})


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    served: Served

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.served.models is None:
            self.say(500, b"Internal Server Error")
            return
        entries = [
            {"id": name, "object": "model", "created": time.time()} for name in self.served.models
        ]
        self.say_json(200, {"object": "list", "data": entries})

    def do_POST(self) -> None:
        body: Body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        served = self.served
        with served.lock:
            served.asked.append(body)
            served.keys.append(self.headers.get("authorization"))
            number = len(served.asked)
            served.at_once += 1
            served.most_at_once = max(served.most_at_once, served.at_once)
        try:
            if not served.trouble(self, body, number):
                self.say_json(200, completion(served.answer(body), served.system_fingerprint))
        finally:
            with served.lock:
                served.at_once -= 1

    def say_json(self, status: int, value: Any, **headers: str) -> None:
        """Answer with JSON."""
        self.say(status, json.dumps(value).encode(), **headers)

    def say(self, status: int, content: bytes, **headers: str) -> None:
        """Answer with bytes."""
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def drop(self, content: bytes = b"") -> None:
        """Send the beginning of an answer, and close the connection."""
        if content:
            self.send_response(200)
            self.send_header("content-length", str(len(content) + 1000))
            self.end_headers()
            self.wfile.write(content)
        self.close_connection = True


def completion(text: str | None, fingerprint: str | None = None) -> Body:
    """Return a completion as the protocol has it; ten tokens in, one for each word out."""
    return {
        "object": "chat.completion",
        "model": "tiny",
        "system_fingerprint": fingerprint,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": len((text or "").split())},
    }


def is_probe(body: Body) -> bool:
    """Return whether a request is one of the fixed prompts."""
    from freehold.models.endpoint_identity import PROBES

    return body["messages"][-1]["content"] in PROBES


@contextmanager
def serving(served: Served) -> Generator[Served]:
    """Serve on loopback."""

    class Bound(Handler):
        pass

    Bound.served = served
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
