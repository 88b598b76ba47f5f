from __future__ import annotations

import json


def test_bench_measures_a_bundle(stance, tiny_bundle, tmp_path):
    file = tmp_path / "news.txt"
    file.write_text("Polisi membantah kabar itu. Warga pergi.\n", encoding="utf-8")
    outcome = stance(
        "bench", file, "--model", tiny_bundle, "--rounds", 1, "--seconds", 0.05, "--json"
    )
    assert outcome.status == 0, outcome.err
    speed = json.loads(outcome.out)
    assert speed["name"] == "stance"
    assert set(speed["rates"]) == {"1", "2"}
    assert min(speed["rates"].values()) > 0
    assert 0 < speed["p50"] <= speed["p95"]
    assert 0 < speed["peak_mb"] < 1_000


def test_bench_names_a_bundle_that_is_not_there(stance, tmp_path):
    file = tmp_path / "news.txt"
    file.write_text("Polisi membantah kabar itu.\n", encoding="utf-8")
    outcome = stance("bench", file, "--model", tmp_path / "none", "--rounds", 1)
    assert outcome.status == 1
    assert "no bundle at" in outcome.err
