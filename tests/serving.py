"""The service with a fake predictor, on a real socket, and a client for it."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uvicorn import Server

from stance.bundle import Bundle, Head
from stance.predictor import Predictor
from stance.results import HeadPrediction, Prediction, Span
from stance.serve.app import create_app
from stance.serve.server import configure

HEADS = (
    Head("claim_type", ("event", "none")),
    Head("certainty", ("confirmed", "stated", "denied", "none"), merge={"stated": "alleged"}),
    Head("attribution", ("newsroom", "named", "none")),
)


class FakePredictor(Predictor):
    """Labels by the word «membantah», at a pace that the test sets."""

    def __init__(self, each: Callable[[str], None] = lambda text: None) -> None:
        self.bundle = Bundle(Path("/secret/place"), HEADS, ("cue", "source"), 64, {}, {}, {})
        self.threads = 1
        self.done: list[str] = []
        self._each = each

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        for text in texts:
            self._each(text)
            self.done.append(text)
            yield label(text)


def label(text: str) -> Prediction:
    at = text.find("membantah")
    best = {"claim_type": "event", "certainty": "denied", "attribution": "named"}
    if at < 0:
        best = {"claim_type": "event", "certainty": "confirmed", "attribution": "newsroom"}
    heads = {
        head.name: HeadPrediction(
            best[head.name],
            0.9,
            {one: 0.9 if one == best[head.name] else 0.05 for one in head.reported_labels},
            best[head.name],
            best[head.name],
        )
        for head in HEADS
    }
    spans = {}
    if at >= 0:
        spans["cue"] = Span("membantah", at, at + 9, 0.8)
        if source := text[:at].strip():
            spans["source"] = Span(source, text.find(source), text.find(source) + len(source), 0.8)
    return Prediction(text, heads, False, spans)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Client:
    port: int
    timeout: float = 10

    def ask(self, method, path, body=None, headers=None) -> Answer:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            link.request(method, path, body, headers or {})
            answer = link.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            link.close()

    def get(self, path) -> Answer:
        return self.ask("GET", path)

    def post(self, path, content) -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", path, body, {"Content-Type": "application/json"})

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def metric(self, name) -> float:
        text = self.get("/metrics").body.decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])


@contextmanager
def serving(predictor=None, limits=None, cors_origins=()) -> Iterator[Client]:
    predictor = predictor or FakePredictor()
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(configure(lambda: create_app(predictor, limits, cors_origins)))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    predictor.done.clear()  # the examples of OpenAPI
    try:
        yield Client(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)


def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for something that other threads do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
