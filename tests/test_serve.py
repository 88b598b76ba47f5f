from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from conftest import ROOT

pytest.importorskip("fastapi", reason="needs the serve extra")
from serving import HEADS, Client, FakePredictor, label, serving, until

from stance.serve.service import Limits


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(limits=Limits(max_chars=5_000, max_sentences=50)) as client:
        yield client


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
    # No redirect, which would name the host that the request names.
    assert client.post("/v1/analyze/", {"text": "a"}).status == 404
    assert client.ask("HEAD", "/healthz").status == 200
    for path in ("/../pyproject.toml", "/page/../../app.py", "/%2e%2e/app.py"):
        assert client.get(path).status == 404


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
        with client.raw() as link:  # the head alone: the guard does not wait for the body
            link.sendall(
                b"POST /v1/analyze HTTP/1.1\r\nHost: a\r\nOrigin: https://redaksi.example\r\n"
                b"Content-Type: application/json\r\nContent-Length: 52428800\r\n\r\n"
            )
            refused = link.recv(4096)
        assert b" 413 " in refused
        assert b"access-control-allow-origin: https://redaksi.example" in refused


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
