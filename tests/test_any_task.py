"""Other people's tables: their formats, columns, labels and number of heads, by configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from conftest import ROWS

torch = pytest.importorskip("torch", reason="training needs the `train` extra")

from stance import DataError, Predictor  # noqa: E402
from training.config import Config, load_config  # noqa: E402
from training.corpus import Dataset, read_dataset  # noqa: E402
from training.run import train  # noqa: E402

TEXTS = [row[0] for row in ROWS]
LABELS = ["negatif", "netral", "sangat positif"]


@pytest.fixture
def read(tmp_path: Path, tiny_base: Path):
    """Write a file, describe it by configuration, read it."""

    def run(name: str, content: str | bytes, heads: str, data: str = "{}") -> Dataset:
        config, file = configured(tmp_path, tiny_base, name, heads, data)
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return read_dataset([str(file)], config.heads, config.spans, config.data)

    return run


def configured(folder: Path, base: Path, name: str, heads: str, data: str) -> tuple[Config, Path]:
    file = folder / name
    content = {
        "base": {"name": str(base), "max_length": 48},
        "heads": yaml.safe_load(heads),
        "data": {"train": [str(file)], "dev": [str(file)], **yaml.safe_load(data)},
        "train": {"epochs": 1, "batch_size": 8},
        "export": {"max_macro_f1_loss": 1.0},
        "output": str(folder / "run"),
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_config(path), file


def told(data: Dataset, head: str) -> list[str | None]:
    return [example.labels.get(head) for example in data.examples]


SENTIMENT = "sentiment: {labels: [negatif, netral, sangat positif]}"


def test_tsv_without_header(read):
    content = 'warung ini "enak" sekali\tsangat positif\n"mahal, kata ibu\tnegatif\n'
    data = read("train.tsv", content, SENTIMENT, "columns: [text, sentiment]")
    assert [one.text for one in data.examples] == ['warung ini "enak" sekali', '"mahal, kata ibu']
    assert told(data, "sentiment") == ["sangat positif", "negatif"]


def test_tsv_that_a_spreadsheet_quoted(read):
    content = 'text\tsentiment\n"""Enak,"" kata ibu."\tnetral\n"Biasa ""saja"""\tnegatif\n'
    data = read("train.tsv", content, SENTIMENT)
    assert [one.text for one in data.examples] == ['"Enak," kata ibu.', 'Biasa "saja"']


def test_csv_with_semicolons_quotes_and_byte_order_mark(read):
    content = '\ufeffUlasan;Nilai\r\n"Enak; sangat ""enak"", kata ibu.";sangat positif\r\n'
    content += "Mahal;negatif\r\n"
    heads = "sentiment: {labels: [negatif, netral, sangat positif], column: Nilai}"
    data = read("a.csv", content, heads, "text_column: Ulasan")
    assert data.examples[0].text == 'Enak; sangat "enak", kata ibu.'
    assert told(data, "sentiment") == ["sangat positif", "negatif"]


def test_csv_without_header(read):
    columns = "columns: [id, text, sentiment]"
    guessed = read("a.csv", "1;Enak, murah;sangat positif\n", SENTIMENT, columns)
    assert guessed.examples[0].text == "Enak, murah"
    told_so = "{columns: [id, text, sentiment], delimiter: '|'}"
    given = read("a.csv", "1|Enak, murah, dekat|sangat positif\n", SENTIMENT, told_so)
    assert given.examples[0].text == "Enak, murah, dekat"


@pytest.mark.parametrize(
    "heads",
    [
        "topic: {labels: [0, 1, 2]}",
        "topic: {labels: ['0', '1', '2']}",
    ],
)
def test_labels_that_are_numbers_compare_as_text(read, heads):
    assert told(read("a.csv", "text,topic\nSatu,0\nDua,2\n", heads), "topic") == ["0", "2"]
    rows = "".join(json.dumps({"text": "Satu", "topic": value}) + "\n" for value in (0, 2.0))
    assert told(read("a.jsonl", rows, heads), "topic") == ["0", "2"]


def test_parquet_with_numbers_for_labels(read, tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    rows = {"kalimat": TEXTS[:3], "label": [0, 2, None], "hoax": [True, False, True]}
    parquet.write_table(pa.table(rows), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    heads = "{s: {labels: [negatif, netral, sangat positif], column: label, values: {0: negatif, "
    heads += "1: netral, 2: sangat positif}}, hoax: {labels: [true, false]}}"
    data = read("a.parquet", content, heads, "text_column: kalimat")
    assert told(data, "s") == ["negatif", "sangat positif", None]
    assert told(data, "hoax") == ["true", "false", "true"]


def test_one_column_per_aspect_is_one_head_each(read):
    content = (
        "sentence,fuel,type,part.x\nIrit tapi mahal,positive,neutral,\nBiasa,,neutral,negative\n"
    )
    heads = "".join(
        f"{name}: {{labels: [negative, neutral, positive]}}\n"
        for name in ("fuel", "type", "part.x")
    )
    data = read("casa.csv", content, heads, "text_column: sentence")
    assert told(data, "fuel") == ["positive", None]
    assert told(data, "part.x") == [None, "negative"]


def test_json_lists(read):
    content = json.dumps([{"text": text, "sentiment": "netral"} for text in TEXTS])
    assert len(read("a.json", content, SENTIMENT).examples) == len(TEXTS)


@pytest.mark.parametrize(
    ("name", "content", "data", "message"),
    [
        ("a.csv", "text,sentiment\nA,netral\nB,baik\n", "{}", "a.csv:3: label 'baik' is not in"),
        ("a.csv", "kalimat,sentiment\nA,netral\n", "{}", "a.csv:2: no column 'text' among 'kal"),
        ("a.csv", "text,sentiment\n,netral\n", "{}", "a.csv:2: no text in column 'text'"),
        ("a.csv", "text,sentiment\nA,netral,x\n", "{}", "a.csv:2: 3 columns, but 2 names"),
        ("a.csv", 'text,sentiment\n"A"x,netral\n', "{}", "a.csv:2: not a readable table"),
        ("a.tsv", "A\tnetral\nB\n", "columns: [text, sentiment]", "a.tsv:2: no label"),
        ("a.json", "{}", "{}", "a.json: not a list"),
        ("a.json", '[{"text": "A", "sentiment": 7}]', "{}", "a.json: row 1: label 7 is not in"),
        ("a.parquet", "text", "{}", "a.parquet: not a readable Parquet file"),
        ("a.jsonl", '{"text": 5, "sentiment": "netral"}', "{}", "a.jsonl:1: no text in column"),
        ("a.xlsx", "", "{}", "unknown format"),
    ],
)
def test_errors_name_value_and_line(read, name, content, data, message):
    with pytest.raises(DataError) as error:
        read(name, content, SENTIMENT, data)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_pairs_are_read_as_one_text_and_predicted_so(tmp_path, tiny_base):
    heads, data = "entails: {labels: [0, 1]}", "{text_column: sent_A, text_pair_column: sent_B}"
    config, file = configured(tmp_path, tiny_base, "wrete.csv", heads, data)
    pairs = zip(TEXTS, reversed(TEXTS), [0, 1] * 5, strict=True)
    lines = [
        f'"{a.replace(chr(34), chr(34) * 2)}","{b.replace(chr(34), chr(34) * 2)}",{label}'
        for a, b, label in pairs
    ]
    file.write_text("\n".join(["sent_A,sent_B,entails", *lines]))
    predictor = Predictor(train(config).path)
    one, other = (predictor.logits([f"{TEXTS[0]} ||| {b}"])["entails"] for b in TEXTS[1:3])
    assert (one != other).any()


def test_heads_of_any_name_and_rows_without_a_label_train(stance, tmp_path, tiny_base):
    heads = "{type: {labels: [x, y]}, part.x: {labels: [1, 2]}, harga wajar: {labels: [ya, tidak]}}"
    config, file = configured(tmp_path, tiny_base, "a.json", heads, "{}")
    rows = [
        {"text": text, "type": "xy"[n % 2], "part.x": n % 2 + 1 if n % 3 else None}
        for n, text in enumerate(TEXTS)
    ]
    file.write_text(json.dumps(rows))
    outcome = stance("train", tmp_path / "config.yaml")
    assert "no row of data.train has a label of 'harga wajar'" in outcome.err
    for n, row in enumerate(rows):
        row["harga wajar"] = "ya" if n % 2 else "tidak"
    file.write_text(json.dumps(rows))
    answer = Predictor(train(config).path).predict_one(TEXTS[0])
    assert list(answer.labels) == ["type", "part.x", "harga wajar"]
