"""What `stance predict` reads and writes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stance import InputError, Predictor
from stance.bundle import manifest_digest
from stance.html import render_article
from stance.readers import Line, read
from stance.results import HeadPrediction, SentencePrediction, Span
from stance.sources import find_sources
from stance.writers import flat_columns, write_csv, write_table

TEXTS = [
    "Polisi menangkap dua tersangka. Keluarga membantah tuduhan itu.",
    "Harga cabai naik, kata pedagang Pasar Rejowinangun.\n\nBupati belum bisa memastikan sebabnya.",
    "Jalan ke Desa Wonosari akan diperbaiki.",
]


@pytest.fixture(scope="module")
def predictor():
    return Predictor(threads=1)


def lines_of(path, **options):
    return list(read(find_sources([str(path)]), **options))


def write_rows_as(folder, form):
    """The texts as rows with an id and an outlet, in the format that the ending names."""
    path = folder / f"berita.{form}"
    rows = [
        {"id": 100 + i, "text": text, "source": f"Koran\nke-{i}"} for i, text in enumerate(TEXTS)
    ]
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")
    elif form == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0], delimiter="\t" if form == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def sentence(text, at=0, certainty="alleged", **spans):
    """A sentence as the predictor gives it; spans are words of it."""
    heads = {
        "claim_type": HeadPrediction("event", 0.9, {"event": 0.9, "none": 0.1}, "event", "event"),
        "certainty": HeadPrediction(certainty, 0.8, {certainty: 0.8}, certainty, certainty),
    }
    found = {
        name: Span(words, at + text.index(words), at + text.index(words) + len(words), 0.7)
        for name, words in spans.items()
    }
    return SentencePrediction(text, heads, False, found, start=at, end=at + len(text))


class TestReading:
    @pytest.mark.parametrize("form", ["jsonl", "csv", "tsv", "parquet"])
    def test_rows_of_every_format_come_out_alike(self, tmp_path, form):
        lines = lines_of(write_rows_as(tmp_path, form), keep=["id", "source"])
        assert [line.text for line in lines] == TEXTS
        assert [line.row for line in lines] == [0, 1, 2]
        assert [str(line.kept["id"]) for line in lines] == ["100", "101", "102"]
        assert lines[2].kept["source"] == "Koran\nke-2"

    def test_text_keeps_its_white_space_and_offsets(self, tmp_path):
        text = "Satu.\r\n\n \t\nDua.\n  Tiga — 🙂."
        (tmp_path / "a.txt").write_bytes(("\ufeff" + text).encode())
        lines = lines_of(tmp_path / "a.txt")
        assert "".join(line.text for line in lines) == text
        assert all(text[line.start :].startswith(line.text) for line in lines)

    @pytest.mark.parametrize("form", ["jsonl", "csv"])
    def test_gzip(self, tmp_path, form):
        plain = write_rows_as(tmp_path, form)
        packed = tmp_path / f"{plain.name}.gz"
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        assert [line.text for line in lines_of(packed)] == TEXTS

    def test_another_text_column_and_a_semicolon(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text('judul;"isi"\nX, Y;"Polisi; membantah."\n', encoding="utf-8")
        (line,) = lines_of(path, text_column="isi", keep=["judul"])
        assert (line.text, line.kept) == ("Polisi; membantah.", {"judul": "X, Y"})

    def test_a_missing_text_is_an_empty_one(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text('{"text": null}\n{"text": "Ada."}\n', encoding="utf-8")
        assert [(line.row, line.text) for line in lines_of(path)] == [(0, ""), (1, "Ada.")]

    def test_a_lone_surrogate_is_replaced_one_for_one(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text('{"text": "A\\ud800 B."}\n', encoding="utf-8")
        assert lines_of(path)[0].text == "A? B."

    def test_folders_patterns_and_files(self, tmp_path, caplog):
        for name in ("b.txt", "a.txt.gz", "sub/c.csv", "foto.jpg", ".hidden.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        found = find_sources([str(tmp_path)])
        assert [(Path(s.path).name, s.form) for s in found] == [
            ("a.txt.gz", "text"),
            ("b.txt", "text"),
            ("c.csv", "csv"),
        ]
        assert "name no format: 1" in caplog.text
        assert [Path(s.path).name for s in find_sources([f"{tmp_path}/*.txt"])] == ["b.txt"]
        assert len(find_sources([f"{tmp_path}/**/*.csv", f"{tmp_path}/b.txt"])) == 2
        assert len(find_sources([str(tmp_path)], "text")) == 4

    def test_an_empty_file_among_others_is_only_a_warning(self, tmp_path, caplog):
        (tmp_path / "a.txt").touch()
        (tmp_path / "b.txt").write_text("Ada.", encoding="utf-8")
        assert [line.text for line in lines_of(tmp_path)] == ["Ada."]
        assert "a.txt: has no text" in caplog.text

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.jsonl", b'{"text": "Satu."}\n{"text": \n', "a.jsonl:2: not JSON"),
            ("a.jsonl", b'["Satu."]', "a.jsonl:1: expected one object per line, found a list"),
            ("a.jsonl", b"[" * 100_000, "a.jsonl:1: not JSON"),
            ("a.json", b'{"teks": "Satu."}', "a.json:1: no column 'text'; it has: teks"),
            ("a.jsonl", b'{"text": 7}', "'text' is a value of type int, not text"),
            ("a.csv", b"id,isi\n1,Satu.\n", "no column 'text'; it has: id, isi"),
            (
                "a.csv",
                b"id,text\n1,Satu.\n2,Dua., lalu\n",
                "a.csv:3: 3 fields, but the header has 2",
            ),
            ("a.csv", b'id,text\n1,Satu.\n2,"Dua.\n3,Tiga.\n', "a.csv:3: not a row"),
            ("a.csv", b"", "has no text"),
            ("a.csv", b"id,text\n", "has no text"),
            ("a.tsv", b"text\n\xff\n", "not UTF-8"),
            ("a.txt", b"\xff\xfeP\0o\0l\0", "binary"),
            ("a.txt.gz", gzip.compress(b"Polisi membantah. " * 50)[:-12], "broken gzip"),
            ("a.txt.gz", b"Polisi membantah.", "broken gzip"),
            ("a.parquet", b"PAR1 no PAR1", "not a Parquet file"),
        ],
    )
    def test_what_cannot_be_read_gets_one_line(self, tmp_path, name, content, message):
        if name.endswith(".parquet"):
            pytest.importorskip("pyarrow")
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as raised:
            lines_of(tmp_path / name)
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_a_recursive_pattern_gives_each_file_once(self, tmp_path):
        (tmp_path / "sub").mkdir()
        for name in ("a.txt", "sub/c.txt"):
            (tmp_path / name).write_text("Halo.")
        for pattern in ("**", "**/*"):
            found = [source.path for source in find_sources([f"{tmp_path}/{pattern}"])]
            assert sorted(found) == [f"{tmp_path}/a.txt", f"{tmp_path}/sub/c.txt"]

    def test_a_header_may_hold_a_line_break(self, tmp_path):
        file = tmp_path / "a.csv"
        file.write_text('"id\nno",text\n1,Halo.\n')
        (line,) = read(find_sources([str(file)]), "text", ["id\nno"])
        assert (line.text, line.kept) == ("Halo.", {"id\nno": "1"})

    def test_parquet_that_python_cannot_hold(self, tmp_path):
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        late = pa.array([10**13], pa.timestamp("s"))
        pq.write_table(pa.table({"text": ["Halo."], "at": late}), tmp_path / "a.parquet")
        with pytest.raises(InputError, match=r"a\.parquet"):
            list(read(find_sources([str(tmp_path / "a.parquet")]), "text", ["at"]))

    def test_nothing_to_read(self, tmp_path):
        for path, message in [
            ("missing.txt", "no such file"),
            ("*.txt", "no file matches"),
            (".", "a folder without files"),
        ]:
            with pytest.raises(InputError, match=message):
                find_sources([str(tmp_path / path)])

    def test_parquet_says_what_to_install(self, stance, tmp_path, monkeypatch):
        (tmp_path / "a.parquet").write_bytes(b"PAR1")
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(InputError, match=re.escape("pip install 'stance[parquet]'")):
            lines_of(tmp_path / "a.parquet")

    def test_memory_does_not_grow_with_the_file(self, tmp_path):
        row = json.dumps({"text": "Polisi membantah kabar itu. " * 20}) + "\n"
        path = tmp_path / "big.jsonl.gz"
        path.write_bytes(gzip.compress(row.encode() * 5_000))
        tracemalloc.start()
        count = sum(1 for _ in read(find_sources([str(path)])))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 5_000
        assert peak < 1 << 20, "the file holds 3 MB"


class TestWriting:
    @pytest.mark.parametrize("form", ["csv", "parquet"])
    def test_rows_can_be_joined_back(self, stance, tmp_path, form):
        """The flat formats lead from each sentence to its row and its place in the row's text."""
        out = tmp_path / f"out.{form}"
        rows = write_rows_as(tmp_path, form)
        outcome = stance("predict", rows, "-o", out, "--keep", "id", "--keep", "source")
        assert outcome.status == 0, outcome.err
        if form == "csv":
            with out.open(encoding="utf-8", newline="") as stream:
                records = list(csv.DictReader(stream))
        else:
            records = pytest.importorskip("pyarrow.parquet").read_table(out).to_pylist()
            assert isinstance(records[0]["start"], int)
            assert isinstance(records[0]["certainty_confidence"], float)
        assert len(records) == 5
        for record in records:
            text = TEXTS[int(record["row"])]
            assert text[int(record["start"]) : int(record["end"])] == record["text"]
            assert int(record["row_id"]) == 100 + int(record["row"])
            assert record["row_source"] == f"Koran\nke-{record['row']}"
            assert record["file"] == str(rows)
        assert [r["certainty"] for r in records][:2] == ["confirmed", "denied"]

    def test_kept_values_that_json_cannot_hold(self, stance, tmp_path):
        rows = tmp_path / "a.jsonl"
        rows.write_text('{"text": "Halo.", "m": {"t": "\\ud83d", "s": [1e999, NaN]}}\n')
        outcome = stance("predict", rows, "--keep", "m", "--format", "jsonl")
        assert outcome.status == 0, outcome.err
        kept = json.loads(outcome.out, parse_constant=pytest.fail)["row_m"]
        assert kept == {"t": "?", "s": [None, None]}

    def test_a_carriage_return_does_not_break_a_record(self, stance, tmp_path):
        rows = tmp_path / "a.jsonl"
        rows.write_text(json.dumps({"text": "Halo.", "title": "a\rb"}) + "\n")
        out = tmp_path / "out.csv"
        assert stance("predict", rows, "--keep", "title", "-o", out).status == 0
        with out.open(newline="", encoding="utf-8") as stream:
            (record,) = csv.DictReader(stream)
        assert record["row_title"] == "a\rb"

    def test_what_is_no_file_is_written_to_and_links_stay(self, stance, tmp_path):
        article = tmp_path / "a.txt"
        article.write_text("Polisi membantah kabar itu.")
        (tmp_path / "real.jsonl").write_text("old")
        (tmp_path / "real.jsonl").chmod(0o600)
        (tmp_path / "link.jsonl").symlink_to("real.jsonl")
        for target in (tmp_path / "link.jsonl", Path("/dev/null")):
            assert stance("predict", article, "--format", "jsonl", "-o", target).status == 0
        assert (tmp_path / "link.jsonl").is_symlink()
        assert "membantah" in (tmp_path / "real.jsonl").read_text()
        assert (tmp_path / "real.jsonl").stat().st_mode & 0o777 == 0o600
        assert Path("/dev/null").is_char_device()

    def test_labels_are_those_of_the_api(self, stance, predictor, tmp_path):
        rows = write_rows_as(tmp_path, "jsonl")
        outcome = stance("predict", rows, "--format", "jsonl", "--threads", 3)
        wanted = [
            {"file": str(rows), "row": row} | found.to_dict()
            for row, text in enumerate(TEXTS)
            for found in predictor.analyze(text)
        ]
        assert [json.loads(line) for line in outcome.out.splitlines()] == wanted

    def test_standard_input_of_a_named_format(self, stance):
        outcome = stance(
            "predict", "-", "--input-format", "csv", "--text-column", "isi", "--format", "csv",
            stdin=b"isi\nPolisi membantah.\n",
        )  # fmt: skip
        (record,) = csv.DictReader(io.StringIO(outcome.out))
        assert (record["file"], record["row"], record["certainty"]) == ("-", "0", "denied")

    def test_an_ending_that_is_no_format(self, stance, tmp_path):
        outcome = stance("predict", "-", "-o", tmp_path / "out.json", stdin=b"Polisi membantah.")
        assert outcome.status == 2
        assert "out.json: end it in .jsonl, .csv" in outcome.err
        assert not (tmp_path / "out.json").exists()

    def test_abstaining(self, stance, tmp_path):
        shipped = Predictor(threads=1).bundle.path
        manifest = json.loads((shipped / "bundle.json").read_text(encoding="utf-8"))
        for head in manifest["heads"]:
            head["thresholds"] = dict.fromkeys(head["labels"], 1.0)
        manifest["sha256"] = manifest_digest(manifest)
        (tmp_path / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
        for name in manifest["files"]:
            (tmp_path / name).symlink_to(shipped / name)
        command = ["predict", "-", "--model", tmp_path, "--format", "jsonl"]
        bold = stance(*command, stdin=b"Polisi membantah.")
        shy = stance(*command, "--abstain", stdin=b"Polisi membantah.")
        assert (bold.status, shy.status) == (0, 0), bold.err
        assert json.loads(bold.out)["certainty"] == "denied"
        assert json.loads(shy.out)["certainty"] == "uncertain"
        assert "denied at" in json.loads(shy.out)["abstained"]["certainty"]

    def test_spans_in_the_table(self, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        found = sentence("Kata Joko, itu dibantah.\x1b", 7, cue="dibantah", source="Joko")
        stream = io.StringIO()
        write_table([(Line("", 0, "a.txt"), [found])], stream)
        assert "\x1b[4mdibantah\x1b[0m" in stream.getvalue()
        assert "\x1b[1mJoko\x1b[0m" in stream.getvalue()
        assert "dibantah\x1b[0m.\ufffd" in stream.getvalue(), "a terminal must not obey the text"

    def test_spans_in_the_flat_formats(self):
        found = sentence("Pak Joko membantah.", 3, "denied", cue="membantah", source="Pak Joko")
        columns = flat_columns(["claim_type", "certainty"], ["cue", "source"], [])
        stream = io.StringIO()
        write_csv([(Line("", 0, "a.txt"), [found, sentence("Ia pergi.", 30)])], stream, columns)
        first, second = csv.DictReader(io.StringIO(stream.getvalue()))
        assert (first["cue"], first["source"]) == ("membantah", "Pak Joko")
        assert (second["cue"], second["source"]) == ("", "")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--format", "parquet"], "-o FILE"),
            (["--resume"], "-o FILE"),
            (["--resume", "-o", "x.html"], "jsonl or csv"),
            (["-o", "{rows}"], "among the files to read"),
            (["--keep", "url"], "no column 'url'"),
        ],
    )
    def test_what_cannot_be_asked(self, stance, tmp_path, options, message):
        rows = write_rows_as(tmp_path, "csv")
        before = rows.read_bytes()
        outcome = stance("predict", rows, *(option.format(rows=rows) for option in options))
        assert outcome.status != 0
        assert message in outcome.err
        assert outcome.out == ""
        assert [*tmp_path.iterdir()] == [rows]
        assert rows.read_bytes() == before


class PageText(HTMLParser):
    """The text inside the page's articles, the tags around each piece, and anything that loads."""

    def __init__(self, page):
        super().__init__()
        self.open, self.pieces, self.classes, self.loads = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in ("meta", "input"):
            self.open.append((tag, given.get("class")))
        if (given.get("class") or "").startswith("s ") and self.inside:
            self.classes.append(given["class"].removeprefix("s "))
        if tag in ("script", "link", "img", "iframe") or {"src", "href"} & set(given):
            self.loads.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.inside:
            self.pieces.append(({tag for tag, _ in self.open}, data))

    @property
    def inside(self):
        return ("div", "text") in self.open

    @property
    def text(self):
        return "".join(data for _, data in self.pieces)

    def within(self, tag):
        return "".join(data for tags, data in self.pieces if tag in tags)


class TestPage:
    def test_the_article_stands_there_as_it_was(self, predictor):
        text = (
            '\n  Judul & <b>tebal</b>\n\n\tPolisi  membantah.   Ia "pergi".\n<script>x</script>\n\n'
        )
        page = render_article("</title><script>", text, predictor.analyze(text))
        parsed = PageText(page)
        assert parsed.text == text
        assert parsed.loads == []
        assert len(parsed.classes) == len(predictor.analyze(text))
        assert "denied" in parsed.classes
        assert not re.search(r"https?:|url\(|@import", page)

    def test_spans_may_overlap(self):
        text = "Kata <Menurut Joko> itu."
        found = sentence(text, 0, cue="<Menurut Joko", source="Joko> itu")
        parsed = PageText(render_article("x", text, [found]))
        assert parsed.text == text
        assert parsed.within("u") == "<Menurut Joko"
        assert parsed.within("b") == "Joko> itu"

    def test_every_certainty_has_a_mark_and_a_tooltip(self):
        labels = ["confirmed", "alleged", "denied", "uncertain", "none"]
        text = "Polisi pergi. " * 5
        found = [
            sentence("Polisi pergi.", 14 * i, name, source="Polisi")
            for i, name in enumerate(labels)
        ]
        page = render_article("x", text, found)
        body = page[page.index('class="text"') :]
        assert PageText(page).classes == labels
        assert len(set(re.findall('data-mark="(.)"', body))) == 5
        assert body.count('data-tag="event"') == 5
        assert "certainty: denied (0.80)\nsource: Polisi" in body

    def test_another_teams_heads(self):
        head = HeadPrediction("positif", 0.9, {"positif": 0.9}, "positif", "positif")
        found = SentencePrediction("Bagus.", {"sentimen": head}, start=0, end=6)
        assert 'data-tag="positif"' in render_article("x", "Bagus.", [found])

    def test_documents_of_a_run_are_sections(self, stance, tmp_path):
        rows = write_rows_as(tmp_path, "jsonl")
        article = tmp_path / "a.txt"
        article.write_text(TEXTS[1], encoding="utf-8")
        out = tmp_path / "out.html"
        outcome = stance("predict", rows, article, article, "-o", out, "--keep", "id")
        assert outcome.status == 0, outcome.err
        page = out.read_text(encoding="utf-8")
        assert PageText(page).text == "".join([*TEXTS, TEXTS[1], TEXTS[1]])
        assert page.count("<section>") == 5
        assert "<h2>berita.jsonl, row 2 · id: 102</h2>" in page
        assert "<h1>3 files</h1>" in page
