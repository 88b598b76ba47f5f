from __future__ import annotations

import gc
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("fastapi", reason="needs the serve extra")
from uvicorn import Server

from stance.bundle import Bundle, Head
from stance.predictor import Predictor
from stance.results import HeadPrediction, Prediction, Span
from stance.serve import connection, guard
from stance.serve.app import create_app
from stance.serve.server import configure
from stance.serve.service import Limits

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


def cut_off(link: socket.socket, data: bytes, times: int, pause: float = 0) -> bool:
    """Whether the other side ends the connection while `data` is sent again and again."""
    try:
        for _ in range(times):
            link.sendall(data)
            time.sleep(pause)
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(limits=Limits(max_chars=5_000, max_sentences=50)) as client:
        yield client


HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
TEXT = "😀 Polisi membantah kabar itu. Harga beras naik.\n\nSidang ditunda."


def test_predict_answers_in_order_with_the_predictors_own_results(client):
    texts = ["Polisi membantah kabar itu.", "Harga beras naik.", ""]
    answer = client.post("/v1/predict", {"texts": texts})
    assert answer.status == 200
    assert answer.json == {"predictions": [label(text).to_dict() for text in texts]}


def test_analyze_answers_with_offsets_in_characters(client):
    answer = client.post("/v1/analyze", {"text": TEXT})
    sentences = answer.json["sentences"]
    assert sentences == [one.to_dict() for one in FakePredictor().analyze(TEXT)]
    assert [TEXT[one["start"] : one["end"]] for one in sentences] == [
        "😀 Polisi membantah kabar itu.",
        "Harga beras naik.",
        "Sidang ditunda.",
    ]
    cue = sentences[0]["spans"]["cue"]
    assert TEXT[cue["start"] : cue["end"]] == "membantah"


def test_a_summary_comes_when_asked_for(client):
    summary = client.post("/v1/analyze?summary=true", {"text": "Polri membantah kabar itu."}).json[
        "summary"
    ]
    assert [source["name"] for source in summary["named"]] == ["Polri"]
    assert "summary" not in client.post("/v1/analyze", {"text": TEXT}).json


def test_html_comes_as_a_file_to_save(client):
    answer = client.post("/v1/analyze?format=html", {"text": "<b>Polri</b> membantah kabar itu."})
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert b"&lt;b&gt;" in answer.body
    assert b"<b>Polri</b>" not in answer.body


def test_nothing_to_label_is_no_failure(client):
    assert client.post("/v1/analyze", {"text": " \n"}).json == {"sentences": []}
    assert client.post("/v1/predict", {"texts": []}).json == {"predictions": []}


def test_a_lone_surrogate_comes_back_as_it_came(client):
    body = b'{"text": "Harga \\ud800 naik."}'
    assert client.post("/v1/analyze", body).json["sentences"][0]["text"] == "Harga \ud800 naik."
    assert client.post("/v1/analyze?format=html", body).status == 200


def test_the_model_card_names_labels_and_limits_but_no_place_on_the_server(client):
    card = client.get("/v1/model")
    assert [head["name"] for head in card.json["heads"]] == [head.name for head in HEADS]
    assert card.json["limits"]["max_chars"] == 5_000
    assert b"/secret" not in card.body


def test_openapi_shows_what_the_service_answers(client):
    schema = client.get("/openapi.json").json
    answer = client.post("/v1/analyze", {"text": TEXT}).json["sentences"][0]
    content = schema["paths"]["/v1/analyze"]["post"]["responses"]["200"]["content"]
    described = content["application/json"]["schema"]["properties"]["sentences"]["items"]
    assert list(described["properties"]) == list(answer)
    assert described["properties"]["certainty"]["enum"] == [
        *("confirmed", "alleged", "denied", "none"),
        "uncertain",
    ]
    example = content["application/json"]["example"]["sentences"][0]
    assert list(example) == list(answer)
    assert {"/v1/predict", "/v1/model", "/healthz", "/metrics"} <= set(schema["paths"])


def test_no_documentation_page_that_loads_scripts_from_elsewhere(client):
    assert client.get("/docs").status == client.get("/redoc").status == 404


def test_metrics_count_requests_by_route_and_sentences(client):
    before = client.metric("stance_sentences_total")
    client.post("/v1/analyze", {"text": TEXT})
    client.get("/etc/passwd?text=rahasia")
    assert client.metric("stance_sentences_total") == before + 3
    text = client.get("/metrics").body.decode()
    assert 'stance_requests_total{path="/v1/analyze",status="200"}' in text
    assert 'stance_requests_total{path="other",status="404"}' in text
    assert "passwd" not in text


BAD = {
    "not JSON": (b'{"texts": ["a"', 400),
    "not UTF-8": (b'{"texts": ["\xff\xfe"]}', 400),
    "deeply nested": (b"[" * 20_000, 400),
    "nested in a field": (b'{"texts": ' + b"[" * 500 + b"]" * 500 + b"}", 422),
    "a number without end": (b'{"texts": ' + b"9" * 20_000 + b"}", 400),
    "no text": ({}, 422),
    "another type": ({"texts": "a"}, 422),
    "an unknown field": ({"texts": ["a"], "path": "/etc/passwd"}, 422),
    "too many characters": ({"texts": ["a" * 5_001]}, 413),
    "too many texts": ({"texts": ["a"] * 51}, 413),
    "too many bytes": (b" " * 60_000, 413),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_one_line_that_does_not_quote_it(client, name):
    content, status = BAD[name]
    answer = client.post("/v1/predict", content)
    assert answer.status == status
    assert list(answer.json) == ["error"]
    assert "\n" not in answer.json["error"]
    assert len(answer.json["error"]) < 200
    assert "passwd" not in answer.json["error"]
    assert client.get("/healthz").status == 200


def test_too_many_sentences_of_a_document(client):
    answer = client.post("/v1/analyze", {"text": "Harga naik.\n" * 51})
    assert answer.status == 413
    assert "50 sentences" in answer.json["error"]


def test_only_json_is_read_so_that_no_form_of_another_site_can_post(client):
    for headers in ({}, {"Content-Type": "text/plain"}):
        answer = client.ask("POST", "/v1/predict", b'{"texts": ["a"]}', headers)
        assert answer.status == 415


def test_unknown_paths_and_methods(client):
    assert client.get("/nope").json == {"error": "Not Found"}
    assert client.get("/v1/predict").status == 405
    for path in ("/../pyproject.toml", "/page/../../app.py", "/%2e%2e/app.py"):
        assert client.get(path).status == 404


def test_fifty_megabytes_are_refused_unread(client):
    with client.raw() as link:
        link.sendall(HEAD + b"Content-Length: 52428800\r\n\r\n")
        answer = link.recv(4096)
    assert b" 413 " in answer
    assert b"connection: close" in answer.lower()
    with client.raw() as link:  # a body that does not say how long it is
        chunk = b"2000\r\n" + b" " * 8192 + b"\r\n"
        link.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        assert cut_off(link, chunk, 6400)
    assert client.get("/healthz").status == 200


def test_security_headers_stand_on_every_answer(client):
    for answer in (client.get("/"), client.get("/nope"), client.post("/v1/predict", b"")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_the_page_refers_to_nothing_but_its_own_files(client):
    found, seen = ["/"], set()
    while found:
        path = found.pop()
        answer = client.get(path)
        assert answer.status == 200, path
        seen.add(path)
        content = answer.body.decode()
        if path.startswith(("/openapi", "/v1", "/icon")):
            continue
        assert not re.search(r"https?://|url\(|@import|innerHTML|\bstyle=|\bon\w+=", content), path
        named = re.findall(r'(?:src|href)="([^"#]+)"|from "\./([^"]+)"', content)
        found += {"/" + "".join(pair) for pair in named} - seen
    assert {"/page.css", "/page.js", "/messages.js", "/results.js"} <= seen


def test_no_other_origin_unless_it_is_named():
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    with serving(cors_origins=["https://redaksi.example"]) as client:
        allowed = client.ask(
            "OPTIONS", "/v1/predict", headers={"Origin": "https://redaksi.example", **preflight}
        )
        assert allowed.headers["access-control-allow-origin"] == "https://redaksi.example"
        other = client.ask(
            "OPTIONS", "/v1/predict", headers={"Origin": "https://x.example", **preflight}
        )
        assert "access-control-allow-origin" not in other.headers


def test_a_full_line_is_refused_at_once_and_the_service_recovers():
    gate = threading.Event()
    predictor = FakePredictor(each=lambda text: gate.wait(10) if text == "slow" else None)
    with serving(predictor, Limits(max_sentences=1000)) as client, ThreadPoolExecutor(3) as pool:
        texts = {"texts": ["slow"] * 1000}
        waiting = [pool.submit(client.post, "/v1/predict", texts) for _ in range(2)]
        until(lambda: client.metric("stance_queue_sentences") == 2000)
        started = time.monotonic()
        refused = client.post("/v1/predict", {"texts": ["a"]})
        assert time.monotonic() - started < 2
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/healthz").status == 200
        gate.set()
        assert [one.result().status for one in waiting] == [200, 200]
        assert client.metric("stance_queue_sentences") == 0
        assert client.post("/v1/predict", {"texts": ["a"]}).status == 200


def test_no_request_waits_longer_than_the_timeout_and_its_work_is_dropped():
    predictor = FakePredictor(each=lambda text: time.sleep(0.05) if text == "slow" else None)
    with serving(predictor, Limits(timeout=0.3)) as client:
        answer = client.post("/v1/predict", {"texts": ["slow"] * 200})
        assert answer.status == 503
        assert "retry-after" in answer.headers
        until(lambda: client.metric("stance_queue_sentences") == 0)
        assert len(predictor.done) < 50


def test_the_work_of_a_client_that_left_is_dropped():
    predictor = FakePredictor(each=lambda text: time.sleep(0.02) if text == "slow" else None)
    with serving(predictor) as client:
        body = json.dumps({"texts": ["slow"] * 400}).encode()
        link = client.raw()
        link.sendall(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        until(lambda: len(predictor.done) > 2)
        link.close()
        until(lambda: client.metric("stance_queue_sentences") == 0)
        assert len(predictor.done) < 200
        text = client.get("/metrics").body.decode()
        assert 'stance_requests_total{path="/v1/predict",status="499"}' in text


def test_slow_senders_are_cut_off(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.3)
    with serving() as client:
        with client.raw() as link:
            link.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
            assert b" 408 " in link.recv(4096)
        with client.raw() as link:  # a head of which a byte comes now and then
            assert cut_off(link, b"a", 50, pause=0.05)
        with client.raw() as link:  # silence
            assert link.recv(1) == b""
        assert client.get("/healthz").status == 200


def test_a_client_that_does_not_read_its_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(connection, "READ_SECONDS", 0.5)
    body = json.dumps({"texts": ["a" * 900] * 100}).encode()
    request = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    with serving() as client, client.raw() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert cut_off(link, request, 1000)
        assert client.get("/healthz").status == 200
        until(lambda: client.metric("stance_queue_sentences") == 0)


def test_a_flood_of_tiny_requests_is_answered():
    with serving() as client, ThreadPoolExecutor(24) as pool:
        answers = pool.map(lambda _: client.post("/v1/predict", {"texts": ["a"]}), range(600))
        assert {answer.status for answer in answers} <= {200, 503}
        assert client.get("/healthz").status == 200


def test_a_failure_is_logged_without_the_text_that_caused_it(caplog):
    def fail(text: str) -> None:
        if "rahasia" in text:
            raise ValueError(f"cannot read {text}")

    with serving(FakePredictor(each=fail)) as client:
        answer = client.post("/v1/predict", {"texts": ["nama sumber rahasia"]})
        assert answer.status == 500
        assert list(answer.json) == ["error"]
        assert client.post("/v1/predict", {"texts": ["a"]}).status == 200
    assert "ValueError in test_serve.py" in caplog.text
    assert "rahasia" not in caplog.text


def test_nor_does_a_failure_that_nobody_waits_for_log_it(caplog):
    def fail(text: str) -> None:
        if "rahasia" in text:
            time.sleep(0.3)
            raise ValueError(f"cannot read {text}")

    with serving(FakePredictor(each=fail), Limits(timeout=0.1)) as client:
        assert client.post("/v1/predict", {"texts": ["nama sumber rahasia"]}).status == 503
        until(lambda: client.metric("stance_queue_sentences") == 0)
        gc.collect()
    assert "rahasia" not in caplog.text


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """The installed command, on a port of its choice."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stance.cli", "serve", "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stderr.readline()
        client = Client(int(re.search(r"http://127\.0\.0\.1:(\d+)", line)[1]))
        yield process, client
    finally:
        process.kill()
        process.wait()


def test_the_command_serves_the_shipped_bundle_and_lets_requests_finish():
    article = (ROOT / "data" / "example.txt").read_text(encoding="utf-8")
    with command("--threads", "1") as (process, client), ThreadPoolExecutor(1) as pool:
        assert client.post("/v1/analyze", {"text": article}).status == 200
        running = pool.submit(client.post, "/v1/analyze", {"text": article * 5})
        until(lambda: client.metric("stance_queue_sentences") > 0)
        process.send_signal(signal.SIGTERM)
        assert running.result().status == 200
        process.wait(10)
        assert "Semangka" not in process.stderr.read()


@pytest.mark.slow
def test_several_workers_answer_and_count_together():
    with command("--threads", "1", "--workers", "2") as (process, client):
        client.timeout = 60  # the first answer waits for the workers to start
        for _ in range(20):
            assert client.post("/v1/predict", {"texts": ["Harga naik."]}).status == 200
        assert client.metric("stance_sentences_total") == 20
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_what_prevents_serving_is_said_in_one_line(stance, tmp_path, monkeypatch):
    missing = stance("serve", "--model", tmp_path)
    assert missing.status == 1
    assert missing.err.count("\n") == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = stance("serve", "--port", port)
    assert busy.status == 1
    assert f"port {port}" in busy.err
    assert busy.err.count("\n") == 1
    for module in [name for name in sys.modules if name.startswith("stance.serve.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    without = stance("serve")
    assert without.status == 1
    assert "stance[serve]" in without.err
