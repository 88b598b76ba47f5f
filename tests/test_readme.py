from __future__ import annotations

import json
import re
import threading
import urllib.request
from http.server import ThreadingHTTPServer

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_snippet_reads_an_article(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(SNIPPETS[0], {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert any("denied" in line for line in lines)


def test_the_service_answers(monkeypatch):
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", lambda self: self.server_close())
    names: dict = {}
    exec(SNIPPETS[1].replace("8000", "0"), names)
    monkeypatch.undo()
    server = ThreadingHTTPServer(("127.0.0.1", 0), names["Handler"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        article = b"Pemkot Malang membantah ada pungutan di pasar itu."
        url = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(url, data=article, timeout=30) as response:
            (sentence,) = json.load(response)
    finally:
        server.shutdown()
        server.server_close()
    assert sentence["certainty"] == "denied"
    assert (sentence["start"], sentence["end"]) == (0, len(article))


def test_an_engine_labels_partitioned_parquet(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="the example needs Ray Data")
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = [
        f"Polsek {name} membantah kabar itu." for name in ("Tawang", "Cibeber", "Wlingi", "Sape")
    ]
    for part in range(2):
        (tmp_path / "archive" / f"part={part}").mkdir(parents=True)
        file = tmp_path / "archive" / f"part={part}" / "rows.parquet"
        pq.write_table(pa.table({"text": texts[part::2], "id": [part, part + 2]}), file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        exec(SNIPPETS[2], {})
    finally:
        ray.shutdown()
    rows = pq.read_table(tmp_path / "labelled").to_pylist()
    assert {row["text"]: row["id"] for row in rows} == {text: at for at, text in enumerate(texts)}
    assert {row["certainty"] for row in rows} == {"denied"}


@pytest.mark.parametrize("folder", ["src/stance", "training", "configs", "data", "artifacts"])
def test_the_layout_is_as_described(folder):
    assert f"`{folder.split('/')[0]}" in README
    assert (ROOT / folder).is_dir()


def test_no_placeholder_is_left():
    for file in (ROOT / "README.md", ROOT / "data" / "README.md"):
        assert not re.findall(r"@[A-Z]{3,}@", file.read_text(encoding="utf-8"))
