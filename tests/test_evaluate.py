from __future__ import annotations

import json
import re
import webbrowser
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import HEADS, write_config

pytest.importorskip("torch", reason="training needs the `train` extra")

from stance.results import HeadPrediction, Prediction, Span
from training import lexicon
from training.config import load_config
from training.corpus import Example
from training.metrics import score
from training.reliability import calibration, risk_coverage
from training.run import train
from training.significance import bootstrap_macro_f1, difference, interval
from training.span_scores import find_contradictions, score_spans

MAYOR = "Wali kota"
GROUPED = [  # text, claim type, certainty, attribution, cue, source
    (f"{MAYOR} membantah jembatan retak.", "event", "denied", "named", "membantah", MAYOR),
    (f"{MAYOR} membenarkan jembatan retak.", "event", "confirmed", "named", "membenarkan", MAYOR),
    ("Jembatan itu diduga retak.", "event", "alleged", "unnamed", "diduga", ""),
    ("Jembatan itu retak.", "event", "confirmed", "newsroom", "", ""),
    ('"Jembatan itu aman," kata Sari.', "event", "stated", "named", "kata", "Sari"),
    ("Baca juga: <b>Daftar</b> Jembatan & Jalan", "none", "none", "none", "", ""),
]


def grouped_rows(path: Path) -> Path:
    """Rows with everything that a row may carry: spans, a beat, a contrast group."""
    names = ("text", "claim_type", "certainty", "attribution", "cue", "source")
    lines = [
        json.dumps(
            dict(zip(names, row, strict=True))
            | {"beat": "daerah" if place % 2 else "politik", "group": f"g{place // 2}"}
        )
        for place, row in enumerate(GROUPED * 3)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grouped_rows(tmp_path_factory.mktemp("data") / "rows.jsonl")


@pytest.fixture(scope="module")
def span_bundle(tiny_base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that also finds the spans, and finds some: it has seen these rows often."""
    config = write_config(tmp_path_factory.mktemp("spans"), tiny_base)
    content = yaml.safe_load(config.read_text())
    content["spans"] = {"cue": {}, "source": {}}
    content["data"] = {"train": [str(data)], "dev": [str(data)]}
    content["train"] |= {"epochs": 10, "learning_rate": 3e-3}
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    return train(load_config(config)).path


def evaluate(stance, bundle, data, tmp_path, *options, page=True):
    """The figures, the page and what the terminal shows."""
    html, figures = tmp_path / "report.html", tmp_path / "report.json"
    if page:
        options = (*options, "--html", html)
    outcome = stance("evaluate", bundle, data, "--json", figures, *options)
    assert outcome.status == 0, outcome.err
    return json.loads(figures.read_text()), html.read_text() if page else "", outcome.out


# --- The bootstrap -------------------------------------------------------------------------------


def test_an_interval_is_that_of_resampling_row_by_row():
    random = np.random.default_rng(1)
    gold = random.integers(0, 3, 120)
    told = np.where(random.random(120) < 0.7, gold, random.integers(0, 3, 120))
    (draws,) = bootstrap_macro_f1(gold, [told], 3)
    slow = []
    for _ in range(250):
        rows = random.integers(0, 120, 120)
        slow.append(score(gold[rows].tolist(), told[rows].tolist()).macro_f1)
    assert interval(draws).low == pytest.approx(np.quantile(slow, 0.025), abs=0.03)
    assert interval(draws).high == pytest.approx(np.quantile(slow, 0.975), abs=0.03)
    np.testing.assert_array_equal(draws, bootstrap_macro_f1(gold, [told], 3)[0])


def test_rows_of_a_group_are_drawn_together():
    gold = np.tile([0, 1], 40)
    told = np.where(np.arange(80) < 40, gold, 1 - gold)
    rows = interval(bootstrap_macro_f1(gold, [told], 2)[0])
    groups = [place // 20 for place in range(80)]
    grouped = interval(bootstrap_macro_f1(gold, [told], 2, groups)[0])
    assert grouped.high - grouped.low > 2 * (rows.high - rows.low)


def test_a_difference_is_found_where_there_is_one_and_only_there():
    random = np.random.default_rng(2)
    gold = random.integers(0, 2, 400)
    weak = np.where(random.random(400) < 0.7, gold, 1 - gold)
    like = np.where(random.random(400) < 0.7, gold, 1 - gold)
    strong = np.where(random.random(400) < 0.9, gold, 1 - gold)

    def compare(first, second):
        before, after = bootstrap_macro_f1(gold, [first, second], 2)
        observed = score(gold.tolist(), second.tolist()).macro_f1
        observed -= score(gold.tolist(), first.tolist()).macro_f1
        return difference(observed, after - before, gold == first, gold == second)

    better = compare(weak, strong)
    assert better.significant
    assert better.interval.low > 0.1
    assert better.mcnemar < 1e-6
    chance = compare(weak, like)
    assert not chance.significant
    assert chance.interval.low < 0 < chance.interval.high
    same = compare(weak, weak)
    assert (same.p_value, same.mcnemar, same.only_first, same.only_second) == (1.0, 1.0, 0, 0)


def test_mcnemar_is_exact():
    first = np.array([True] * 1 + [False] * 8 + [True] * 20)
    second = np.array([False] * 1 + [True] * 8 + [True] * 20)
    one = difference(0.0, np.zeros(10), first, second)
    assert (one.only_first, one.only_second) == (1, 8)
    assert one.mcnemar == pytest.approx(2 * (1 + 9) / 2**9)  # two-sided binomial, n = 9


# --- Confidence ----------------------------------------------------------------------------------


def test_calibration_measures_the_gap():
    confidence = np.repeat([0.6, 0.9], 300)
    right = np.concatenate([np.arange(300) % 10 < 6, np.arange(300) % 10 < 5])
    result = calibration(confidence, right)
    assert result.ece == pytest.approx((0.0 + 0.4) / 2, abs=0.03)
    assert sum(one.rows for one in result.bins) == 600


def test_risk_falls_with_coverage_if_confidence_means_something():
    right = np.arange(100) >= 20
    knowing = risk_coverage(np.linspace(0.5, 1, 100), right)
    assert knowing.risk_at["100%"] == pytest.approx(0.2)
    assert knowing.risk_at["80%"] == 0.0
    blind = risk_coverage(np.linspace(1, 0.5, 100), right)
    assert knowing.aurc < 0.05 < 0.2 < blind.aurc


# --- Spans ---------------------------------------------------------------------------------------

TEXT = "Polisi membantah kabar itu, kata juru bicara."


def predicted(certainty: str, attribution: str, **spans: str) -> Prediction:
    heads = {
        "certainty": HeadPrediction(certainty, 1.0, {certainty: 1.0}, certainty, certainty),
        "attribution": HeadPrediction(
            attribution, 1.0, {attribution: 1.0}, attribution, attribution
        ),
    }
    found = {
        name: Span(words, TEXT.index(words), TEXT.index(words) + len(words), 1.0)
        for name, words in spans.items()
    }
    return Prediction(TEXT, heads, False, found)


def annotated(**spans: str | None) -> Example:
    places = {
        name: words and (TEXT.index(words), TEXT.index(words) + len(words))
        for name, words in spans.items()
    }
    return Example(TEXT, {"certainty": "denied"}, "rows:1", places)


def test_spans_are_scored_exactly_and_by_overlap():
    examples = [
        annotated(cue="membantah"),
        annotated(cue="membantah"),
        annotated(cue="membantah"),
        annotated(cue=None),
        annotated(),  # says nothing of the cue, so it does not count
    ]
    predictions = [
        predicted("denied", "named", cue="membantah"),
        predicted("denied", "named", cue="membantah kabar"),
        predicted("denied", "named"),
        predicted("denied", "named", cue="kata"),
        predicted("denied", "named", cue="kata"),
    ]
    one = score_spans(examples, predictions, ["cue", "source"])
    assert list(one) == ["cue"]
    assert (one["cue"].rows, one["cue"].annotated, one["cue"].predicted) == (4, 3, 3)
    assert one["cue"].exact.f1 == pytest.approx(1 / 3)
    assert one["cue"].overlap.f1 == pytest.approx(2 / 3)


def test_labels_that_contradict_their_spans_are_counted():
    predictions = [
        predicted("denied", "named", cue="membantah", source="Polisi"),
        predicted("denied", "named"),
        predicted("confirmed", "newsroom", source="Polisi"),
    ]
    found = {one.meaning: one.share for one in find_contradictions(predictions, ["cue", "source"])}
    assert found == {
        "denied without a cue": 0.5,
        "named without a source": 0.5,
        "newsroom with a source": 1.0,
    }
    assert [one.span for one in find_contradictions(predictions, ["cue"])] == ["cue"]


# --- The command ---------------------------------------------------------------------------------


def test_every_figure_is_in_the_json_and_adds_up(stance, span_bundle, data, tmp_path):
    figures, _, shown = evaluate(stance, span_bundle, data, tmp_path, page=False)
    (own,) = figures["overview"]["systems"]
    assert list(own["tasks"]) == ["claim_type", "certainty", "certainty (fine)", "attribution"]
    assert "stated" in figures["details"]["certainty (fine)"]["labels"]
    assert "stated" not in figures["details"]["certainty"]["labels"]
    for task, detail in figures["details"].items():
        assert sum(map(sum, detail["confusion"])) == 3 * len(GROUPED)
        right = sum(row[place] for place, row in enumerate(detail["confusion"]))
        assert own["tasks"][task]["accuracy"] == pytest.approx(right / (3 * len(GROUPED)))
        low, high = own["intervals"][task]["low"], own["intervals"][task]["high"]
        assert low <= own["tasks"][task]["macro_f1"] <= high
        assert f"{own['tasks'][task]['macro_f1']:.3f}" in shown
    assert {part["name"] for part in figures["by_beat"]} == {"daerah", "politik"}
    assert sum(part["rows"] for part in figures["by_length"]) == 3 * len(GROUPED)
    assert figures["groups"]["number"] == 9


def test_the_page_stands_alone_and_escapes_its_text(stance, span_bundle, data, tmp_path):
    rows = tmp_path / "wrong.jsonl"  # a confident error for certain: nothing was labelled so
    row = {"text": "Baca juga: <script>alert(1)</script> & Jalan", "claim_type": "rule"}
    rows.write_text(json.dumps(row) + "\n" + json.dumps({**row, "claim_type": "causal"}) + "\n")
    figures, page, _ = evaluate(stance, span_bundle, rows, tmp_path)
    assert figures["hard_errors"][0]["text"] == row["text"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Jalan" in page
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert "http:" not in page
    assert "https:" not in page
    assert page.count("data:image/svg+xml;base64,") == 1  # one system has no overview to draw


def test_spans_are_reported_only_where_a_bundle_has_them(
    stance, tiny_bundle, span_bundle, data, tmp_path
):
    figures, page, shown = evaluate(stance, span_bundle, data, tmp_path)
    assert figures["spans"]["cue"]["annotated"] == 12
    assert "overlap F1" in shown
    assert "<h2>Spans</h2>" in page
    figures, page, shown = evaluate(stance, tiny_bundle, data, tmp_path)
    assert figures["spans"] == {}
    assert "overlap F1" not in shown
    assert "<h2>Spans</h2>" not in page


def test_faithfulness_replaces_cues_and_other_words(
    stance, tiny_bundle, span_bundle, data, tmp_path
):
    figures, page, shown = evaluate(stance, span_bundle, data, tmp_path, "--faithfulness")
    faithful = figures["faithfulness"]
    assert 0 < faithful["rows"] <= 3 * len(GROUPED)
    assert -1 <= faithful["random_drop"] <= 1
    assert f"{faithful['cue_drop']:.3f}" in shown
    assert f"{faithful['cue_drop']:.3f}" in page
    outcome = stance("evaluate", tiny_bundle, data, "--faithfulness")
    assert outcome.status == 1
    assert "no `cue` span" in outcome.err


def test_two_bundles_are_compared_on_the_same_rows(
    stance, tiny_bundle, span_bundle, data, tmp_path
):
    figures, page, shown = evaluate(stance, span_bundle, data, tmp_path, "--against", tiny_bundle)
    other, own = figures["overview"]["systems"]
    assert (other["name"], own["name"]) == (str(tiny_bundle), str(span_bundle))
    for task, one in figures["differences"].items():
        gain = own["tasks"][task]["macro_f1"] - other["tasks"][task]["macro_f1"]
        assert one["macro_f1"] == pytest.approx(gain)
    assert "significant" in shown
    assert f"Against {tiny_bundle}" in page
    figures, _, shown = evaluate(
        stance, span_bundle, data, tmp_path, "--against", span_bundle, page=False
    )
    assert all(one["p_value"] == 1.0 for one in figures["differences"].values())
    assert "no significant difference" in shown


def test_bundles_without_a_common_head_are_not_compared(
    stance, tiny_base, span_bundle, data, tmp_path
):
    config = write_config(tmp_path, tiny_base)
    content = yaml.safe_load(config.read_text())
    content["heads"] = {"mood": {"labels": ["event", "none"], "column": "mood"}}
    rows = tmp_path / "mood.jsonl"
    rows.write_text('{"text": "Hujan.", "mood": "event"}\n{"text": "Tag", "mood": "none"}\n' * 4)
    content["data"] = {"train": [str(rows)], "dev": [str(rows)]}
    content["train"]["epochs"] = 1
    config.write_text(yaml.safe_dump(content))
    mood = train(load_config(config)).path
    outcome = stance("evaluate", span_bundle, data, "--against", mood)
    assert outcome.status == 1
    assert "no head in common" in outcome.err
    outcome = stance("evaluate", mood, rows, "--baselines", rows)
    assert outcome.status == 0, outcome.err
    assert "left out: cue lexicon" in outcome.out


def test_report_opens_the_page_of_a_bundle(stance, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    outcome = stance("report", tmp_path)
    assert outcome.status == 1
    assert "stance evaluate" in outcome.err
    page = tmp_path / "report.html"
    page.write_text("<p>Laporan</p>")
    for source in (tmp_path, page):
        outcome = stance("report", source)
        assert outcome.out.strip() == str(page.resolve())
    assert opened == [page.resolve().as_uri()] * 2


def test_report_prints_the_path_where_nothing_can_be_opened(stance, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda uri: pytest.fail("opened"))
    (tmp_path / "report.html").write_text("<p>Laporan</p>")
    assert stance("report", tmp_path).out.strip().endswith("report.html")


# --- Baselines -----------------------------------------------------------------------------------


def test_baselines_stand_in_one_table_and_beside_a_bundle(
    stance, tiny_base, span_bundle, data, tmp_path
):
    config = write_config(tmp_path, tiny_base)
    out = tmp_path / "baselines.json"
    outcome = stance("baselines", data, "--test", data, "--scheme", config, "--json", out)
    assert outcome.status == 0, outcome.err
    systems = {system["name"]: system for system in json.loads(out.read_text())["systems"]}
    learners = ["TF-IDF + logistic", "static embeddings + logistic", "frozen base + logistic"]
    names = ["majority class", "cue lexicon", *learners]
    assert list(systems) == names
    assert systems["majority class"]["tasks"]["claim_type"]["accuracy"] == pytest.approx(5 / 6)
    assert systems["TF-IDF + logistic"]["tasks"]["certainty"]["macro_f1"] > 0.9
    assert systems["cue lexicon"]["tasks"]["certainty (fine)"]["macro_f1"] == 1.0
    assert systems["frozen base + logistic"]["tasks"]["certainty"]["accuracy"] > 0.5
    assert systems["static embeddings + logistic"]["tasks"]["certainty"]["macro_f1"] > 0.9
    figures, page, _ = evaluate(stance, span_bundle, data, tmp_path, "--baselines", data)
    assert [s["name"] for s in figures["overview"]["systems"]] == [*names, str(span_bundle)]
    assert all(name in page for name in names)


def test_a_baseline_is_chosen_by_the_beginning_of_its_name(stance, tiny_base, data, tmp_path):
    config = write_config(tmp_path, tiny_base)
    outcome = stance("baselines", data, "--test", data, "--scheme", config, "--only", "cue")
    assert outcome.status == 0
    assert "cue lexicon" in outcome.out
    assert "majority" not in outcome.out
    outcome = stance("baselines", data, "--test", data, "--scheme", config, "--only", "cues")
    assert outcome.status == 1
    assert "majority class" in outcome.err


@pytest.mark.parametrize(
    ("text", "certainty", "attribution"),
    [
        ("Gubernur membantah menerima suap.", "denied", "named"),
        ("Gubernur tidak membantah menerima suap.", "alleged", "named"),
        ("Polisi belum bisa memastikan penyebab kebakaran.", "alleged", "named"),
        ("Kebakaran itu diduga akibat korsleting.", "alleged", "unnamed"),
        ("Pelaku ditangkap karena diduga mencuri sepeda.", "confirmed", "newsroom"),
        ('"Kami sudah menunggu sejak pagi," kata seorang warga.', "stated", "unnamed"),
        ('"Kami sudah menunggu sejak pagi," kata Rahmat.', "stated", "named"),
        ("Seorang warga, Siti Aminah, mengatakan air sudah surut.", "stated", "named"),
        ("Tidak ada korban jiwa dalam kebakaran itu.", "confirmed", "newsroom"),
        ("Baca juga: Harga Beras Hari Ini", "none", "none"),
    ],
)
def test_the_lexicon_knows_negation_subordination_and_names(text, certainty, attribution):
    told = lexicon.read(text)
    assert (told["certainty"], told["attribution"]) == (certainty, attribution)


def test_the_lexicon_stays_in_its_scheme():
    assert {head: set(labels) for head, labels in lexicon.LABELS.items()} == {
        name: set(head["labels"]) for name, head in HEADS.items()
    }
    for text in ("", "?", "…", "a" * 5_000, '"', "Ia"):
        told = lexicon.read(text)
        assert all(label in lexicon.LABELS[head] for head, label in told.items())
