"""Clients that are slow, rude, gone or too many, and failures that would quote them."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="needs the serve extra")
from serving import FakePredictor, serving, until

from stance.serve import connection, guard
from stance.serve.service import Limits

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


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


def test_fifty_megabytes_are_refused_unread():
    with serving() as client:
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


def test_a_head_without_end_is_cut_off():
    with serving() as client:
        with client.raw() as link:
            link.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
            assert cut_off(link, b"a: b\r\n" * 500, 400)
        with client.raw() as link:
            link.sendall(b"GET /")
            assert cut_off(link, b"a" * 4096, 400)
        assert client.get("/healthz").status == 200


@pytest.mark.parametrize(
    ("request_", "rest"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", b"x"),
    ],
    ids=["a blank line", "a body of a byte"],
)
def test_bytes_that_begin_no_request_keep_no_connection(request_, rest, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.3)
    with serving() as client, client.raw() as link:
        link.sendall(request_)
        assert b" 200 " in link.recv(4096)
        link.sendall(rest)
        link.settimeout(5)
        assert link.recv(4096) == b""


def test_hundreds_of_thousands_of_wrong_texts_get_one_complaint():
    with serving() as client:
        began = time.process_time()
        answer = client.post("/v1/predict", {"texts": [1] * 150_000})
        assert answer.status == 422
        assert answer.json["error"].startswith("texts.0: ")
        assert time.process_time() - began < 2


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
    assert "ValueError in test_serve_hostile.py" in caplog.text
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
