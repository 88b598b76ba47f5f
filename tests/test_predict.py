from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import ROOT

from stance import BundleError, InputError, Predictor, kernels
from stance.bundle import manifest_digest, sha256

EXAMPLE = ROOT / "data" / "example.txt"


@pytest.fixture(scope="module")
def predictor():
    return Predictor(threads=2)


# What any reader would say; each with a wide margin, so that no processor's rounding decides.
CLEAR_CASES = [
    ("Pyongyang membantah mengirim pasukan ke Rusia.", "certainty", "denied"),
    ("Polisi menangkap dua tersangka pencurian di Medan.", "certainty", "confirmed"),
    ("Pelaku diduga masuk lewat pintu belakang.", "certainty", "alleged"),
    ("Pihaknya belum bisa memastikan kabar itu.", "certainty", "alleged"),
    ("Baca juga: Daftar Harga Emas Hari Ini", "certainty", "none"),
    ("Polisi menangkap dua tersangka pencurian di Medan.", "attribution", "newsroom"),
    ('"Kami siap bertanding," kata pelatih Persib Rendra Wiguna.', "attribution", "named"),
    ("Polisi menangkap dua tersangka pencurian di Medan.", "claim_type", "event"),
    ("Undang-undang itu melarang ekspor bijih nikel mentah.", "claim_type", "rule"),
    ("Harga beras diperkirakan naik menjelang Lebaran.", "claim_type", "prediction"),
    ("Inflasi pada Oktober tercatat sebesar 2,8 persen.", "claim_type", "quantity"),
]


@pytest.mark.parametrize(("text", "head", "label"), CLEAR_CASES)
def test_the_shipped_bundle_gets_clear_cases_right(predictor, text, head, label):
    assert predictor.predict_one(text).labels[head] == label


def test_the_fast_bundle_gets_clear_cases_right():
    told = Predictor(ROOT / "artifacts" / "fast").predict([text for text, _, _ in CLEAR_CASES])
    right = [p.labels[h] == label for p, (_, h, label) in zip(told, CLEAR_CASES, strict=True)]
    assert sum(right) >= len(right) - 1


def test_the_readmes_command_on_the_shipped_article(stance):
    outcome = stance("predict", EXAMPLE)
    assert outcome.status == 0, outcome.err
    for word in ("claim type", "certainty", "attribution", "denied", "none"):
        assert word in outcome.out


def test_jsonl_offsets_reproduce_the_file(stance):
    document = EXAMPLE.read_text(encoding="utf-8")
    outcome = stance("predict", EXAMPLE, "--format", "jsonl")
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert len(records) > 10
    for record in records:
        assert document[record["start"] : record["end"]] == record["text"]
        assert set(record["probabilities"]) == {"claim_type", "certainty", "attribution"}
        for head, probabilities in record["probabilities"].items():
            assert sum(probabilities.values()) == pytest.approx(1, abs=1e-3)
            assert record[head] == max(probabilities, key=probabilities.get)
    covered = "".join(record["text"] for record in records)
    assert "".join(covered.split()) == "".join(document.split())


def test_standard_input_and_files_agree(stance):
    from_file = stance("predict", EXAMPLE, "--format", "jsonl").out
    from_stdin = stance("predict", "-", "--format", "jsonl", stdin=EXAMPLE.read_bytes()).out
    assert from_stdin.replace('"file": "-"', f'"file": "{EXAMPLE}"') == from_file


def test_several_files_and_an_output_file(stance, tmp_path):
    out = tmp_path / "new" / "out.jsonl"
    outcome = stance("predict", EXAMPLE, EXAMPLE, "--format", "jsonl", "-o", out)
    assert (outcome.status, outcome.out) == (0, "")
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]


def test_a_failure_leaves_no_output(stance, tmp_path):
    out = tmp_path / "out.jsonl"
    assert stance("predict", EXAMPLE, tmp_path / "missing", "-o", out).status == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "has no text"),
        (b" \n\n\t\n", "has no text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
        ("Kementerian é membantah.".encode("latin-1"), "not UTF-8 (byte 12, line 1)"),
    ],
)
def test_bad_files_get_one_line(stance, tmp_path, content, message):
    file = tmp_path / "bad.txt"
    if content is not None:
        file.write_bytes(content)
    outcome = stance("predict", file)
    assert outcome.status == 1
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1
    assert message in outcome.err
    assert str(file) in outcome.err


def test_an_unknown_option(stance):
    outcome = stance("predict", EXAMPLE, "--fromat", "jsonl")
    assert outcome.status == 2
    assert "--format" in outcome.err  # click names the nearest option


def test_byte_order_mark_and_windows_line_breaks(stance, tmp_path):
    file = tmp_path / "windows.txt"
    file.write_bytes("\ufeffPolisi membantah.\r\nWarga pergi.\r\n".encode())
    records = [
        json.loads(line) for line in stance("predict", file, "--format", "jsonl").out.splitlines()
    ]
    assert [(r["text"], r["start"]) for r in records] == [
        ("Polisi membantah.", 0),
        ("Warga pergi.", 19),
    ]


def test_answers_do_not_depend_on_company_order_or_threads(predictor):
    texts = [text for text, _, _ in CLEAR_CASES] * 9
    alone = [predictor.predict_one(text) for text in texts]
    assert predictor.predict(texts) == alone
    assert predictor.predict(texts[::-1]) == alone[::-1]
    assert Predictor(threads=1).predict(texts) == alone


def test_a_long_text_is_flagged_and_costs_no_more(predictor):
    answer = predictor.predict_one("Polisi menangkap dua orang. " * 400_000)
    assert answer.truncated
    assert not predictor.predict_one("Polisi menangkap dua orang.").truncated


@pytest.mark.parametrize("text", ["", " ", "\ud800", "\0", "‮", "a" * 5000, "🙂" * 300])
def test_any_string_has_an_answer(predictor, text):
    assert predictor.predict_one(text).text == text


def test_a_single_string_is_no_list(predictor):
    with pytest.raises(TypeError, match="predict_one"):
        predictor.predict("Polisi membantah.")


def test_stream_is_lazy_and_in_order(predictor):
    seen = []

    def endless():
        number = 0
        while True:
            seen.append(number)
            yield f"Kalimat ke-{number}."
            number += 1

    stream = predictor.stream(endless())
    assert [next(stream).text for _ in range(3)] == [f"Kalimat ke-{i}." for i in range(3)]
    assert len(seen) < 500


def test_shared_by_threads_and_pickled(predictor):
    texts = [text for text, _, _ in CLEAR_CASES]
    wanted = predictor.predict(texts)
    with ThreadPoolExecutor(4) as pool:
        assert all(answer == wanted for answer in pool.map(predictor.predict, [texts] * 8))
    assert pickle.loads(pickle.dumps(predictor)).predict(texts) == wanted


@pytest.mark.parametrize("text", [None, 5, b"Halo."])
def test_what_is_no_text_is_told_so(predictor, text):
    for ask in (predictor.predict_one, predictor.analyze, lambda text: predictor.predict([text])):
        with pytest.raises(TypeError, match="is a str, not"):
            ask(text)


def test_a_pickled_predictor_finds_its_bundle_and_no_other(tiny_bundle, tmp_path, monkeypatch):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(Predictor("bundle"))
    monkeypatch.chdir("/")
    assert pickle.loads(pickled).predict_one("Halo.").text == "Halo."
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    with (tmp_path / "bundle" / "README.md").open("a") as card:
        card.write("x")
    manifest["files"]["README.md"] = sha256(tmp_path / "bundle" / "README.md")
    manifest["sha256"] = manifest_digest(manifest)
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="not the bundle that was pickled"):
        pickle.loads(pickled)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_answers(predictor):
    wanted = predictor.predict(["Polisi membantah kabar itu."] * 40)
    pipe, end = os.pipe()
    if (child := os.fork()) == 0:
        answers = predictor.predict(["Polisi membantah kabar itu."] * 40)
        os.write(end, b"same" if answers == wanted else b"other")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(pipe, 8) == b"same"


class TestColumns:
    """`predict_batch`, as engines call it: columns in, columns added."""

    TEXTS = ("Pyongyang membantah mengirim pasukan ke Rusia.", "Baca juga: Daftar Harga Emas")

    def test_adds_columns(self, predictor):
        batch = {"id": [1, 2], "text": list(self.TEXTS)}
        answer = predictor.predict_batch(batch)
        assert batch == {"id": [1, 2], "text": list(self.TEXTS)}
        assert answer["id"] == [1, 2]
        assert answer["certainty"] == ["denied", "none"]
        assert answer["truncated"] == [False, False]
        assert all(0 < value <= 1 for value in answer["certainty_confidence"])

    def test_a_prefix_keeps_columns_of_the_same_name(self, predictor):
        batch = {"kalimat": list(self.TEXTS), "certainty": ["gold", "gold"]}
        answer = predictor.predict_batch(batch, text_column="kalimat", prefix="model_")
        assert answer["certainty"] == ["gold", "gold"]
        assert answer["model_certainty"] == ["denied", "none"]

    def test_no_rows(self, predictor):
        assert predictor.predict_batch({"text": []})["certainty"] == []

    @pytest.mark.parametrize(
        ("batch", "message"), [({"body": ["x"]}, "there are: body"), ({"text": [None]}, "row 0")]
    )
    def test_what_is_no_text_is_named(self, predictor, batch, message):
        with pytest.raises(InputError, match=message):
            predictor.predict_batch(batch)

    def test_in_datasets_map_with_worker_processes(self, predictor, tmp_path):
        datasets = pytest.importorskip("datasets", reason="needs the `train` extra")
        rows = datasets.Dataset.from_dict({"text": list(self.TEXTS) * 4})
        labelled = rows.map(predictor.predict_batch, batched=True, batch_size=2, num_proc=2)
        assert labelled["certainty"][:] == ["denied", "none"] * 4


def test_prediction_imports_no_training_library():
    script = """
import sys
import stance
from stance.cli import main
sys.argv = ["stance", "predict", sys.argv[1]]
main()
bad = {"torch", "transformers", "datasets", "optuna", "sklearn", "training"} & set(sys.modules)
sys.exit(f"imported {bad}" if bad else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(EXAMPLE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_help_and_version_do_not_load_the_runtime():
    script = (
        "import sys\nfrom stance.cli import main\nsys.argv = ['stance', '--help']\ntry: main()\n"
    )
    script += "except SystemExit: pass\nassert 'onnxruntime' not in sys.modules, 'loaded'\n"
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m stance.cli predict {EXAMPLE} --format jsonl | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_answers_are_the_same_where_fast_kernels_overflow(monkeypatch):
    texts = ["Polisi membantah kabar itu.", "Menurut BPS, inflasi Oktober 2,8 persen."]
    fast = [p.to_dict() for p in Predictor().predict(texts)]
    monkeypatch.setattr("stance.kernels.products_overflow", lambda: True)
    assert kernels.session_options().get_session_config_entry("session.x64quantprecision") == "1"
    exact = [p.to_dict() for p in Predictor().predict(texts)]
    # On a processor whose fast kernels do overflow, both are the exact ones.
    assert exact == fast


def test_overflow_is_found_by_a_product_that_cannot_be_mistaken(monkeypatch):
    class Wrong:
        def __init__(self, *arguments, **options):
            pass

        def run(self, outputs, feed):
            inner = feed["b"].shape[0]
            saturated = inner // 2 * np.iinfo(np.int16).max
            return [np.full((feed["a"].shape[0], feed["b"].shape[1]), saturated, np.int32)]

    monkeypatch.setattr(kernels.ort, "InferenceSession", Wrong)
    assert kernels.products_overflow.__wrapped__()
