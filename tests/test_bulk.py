"""How a run over many files shows its progress, and goes on where it was stopped."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from test_io import TEXTS, write_rows_as

from stance import Predictor
from stance.bulk import label
from stance.readers import read
from stance.sources import find_sources
from stance.writers import write_jsonl


@pytest.fixture(scope="module")
def predictor():
    return Predictor(threads=1)


class TestResume:
    @pytest.fixture
    def rows(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        texts = [f"Kejadian {i}. {TEXTS[i % 3]}" for i in range(8)]
        path.write_text(
            "".join(json.dumps({"id": 'a "b"\nc', "text": text}) + "\n" for text in texts),
            encoding="utf-8",
        )
        return path

    @pytest.mark.parametrize("form", ["jsonl", "csv"])
    def test_a_torn_file_becomes_the_whole_one(self, stance, rows, tmp_path, form, monkeypatch):
        """Wherever the writing was cut, the run goes on to the same bytes."""
        whole, out = tmp_path / f"whole.{form}", tmp_path / f"out.{form}"
        partial = tmp_path / f"out.{form}.partial"
        assert stance("predict", rows, "-o", whole, "--keep", "id").status == 0
        command = ["predict", rows, "-o", out, "--keep", "id", "--resume"]
        stop_after(monkeypatch, 5)
        outcome = stance(*command)
        assert outcome.status == 130
        assert "again to go on" in outcome.err
        assert partial.exists()
        assert not out.exists()
        monkeypatch.undo()
        content = whole.read_bytes()
        request = (tmp_path / f"out.{form}.partial-run").read_bytes()
        for cut in (20, len(content) // 3, len(content) - 1):
            partial.write_bytes(content[:cut])
            (tmp_path / f"out.{form}.partial-run").write_bytes(request)
            outcome = stance(*command)
            assert outcome.status == 0, outcome.err
            assert out.read_bytes() == content
            assert {p.name for p in tmp_path.iterdir()} == {rows.name, whole.name, out.name}
            out.unlink()

    def test_what_is_done_is_not_done_again(self, rows, predictor):
        lines = list(read(find_sources([str(rows)])))
        seen = []

        class Watched:
            def analyze_lines(self, lines):
                return predictor.analyze_lines(seen.append(line) or line for line in lines)

        stream = io.StringIO()
        everything = [s for _, found in label(predictor, lines) for s in found]
        write_jsonl(label(Watched(), lines, done=len(everything) - 4), stream)
        records = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [r["text"] for r in records] == [s.text for s in everything[-4:]]
        assert len(seen) < 3

    def test_another_run_is_refused(self, stance, rows, tmp_path, monkeypatch):
        out = tmp_path / "out.jsonl"
        stop_after(monkeypatch, 3)
        assert stance("predict", rows, "-o", out, "--resume").status == 130
        monkeypatch.undo()
        before = (tmp_path / "out.jsonl.partial").read_bytes()
        outcome = stance("predict", rows, "-o", out, "--resume", "--abstain")
        assert "differs in its options" in outcome.err
        rows.write_bytes(rows.read_bytes() + b'{"text": "Baru."}\n')
        outcome = stance("predict", rows, "-o", out, "--resume")
        assert outcome.status == 1
        assert "differs in its input" in outcome.err
        assert len(outcome.err.splitlines()) == 1
        assert (tmp_path / "out.jsonl.partial").read_bytes() == before

    @pytest.mark.parametrize("form", ["jsonl", "csv"])
    def test_a_file_that_was_not_reached_may_be_mended(self, stance, rows, tmp_path, form):
        later, out = tmp_path / "later.jsonl", tmp_path / f"out.{form}"
        rows.write_text(rows.read_text() * 8)  # more than what is read ahead
        later.write_text("not JSON\n")
        command = ["predict", rows, later, "-o", out, "--resume"]
        outcome = stance(*command)
        assert outcome.status == 1
        assert "later.jsonl:1" in outcome.err
        done = (tmp_path / f"out.{form}.partial").read_bytes()
        assert done
        later.write_text('{"text": "Baru."}\n')
        assert stance(*command).status == 0
        assert out.read_bytes().startswith(done)
        assert b"Baru." in out.read_bytes()

    def test_a_killed_process(self, tmp_path, stance):
        text = tmp_path / "long.txt"
        text.write_text(
            "\n".join(f"Kejadian {i}. {TEXTS[0]}" for i in range(120)), encoding="utf-8"
        )
        out, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
        command = ["predict", str(text), "-o", str(out), "--resume", "--threads", "1"]
        process = subprocess.Popen([sys.executable, "-m", "stance.cli", *command])
        while process.poll() is None and not (partial.exists() and partial.stat().st_size):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done = partial.read_bytes()
        assert not out.exists()
        assert stance(*command).status == 0
        assert out.read_bytes().startswith(done)
        records = [json.loads(line) for line in out.read_bytes().splitlines()]
        assert [r["text"] for r in records if r["text"].startswith("Kejadian")] == [
            f"Kejadian {i}." for i in range(120)
        ]


class TestProgress:
    def test_only_a_terminal_shows_it(self, tmp_path, stance):
        pty = pytest.importorskip("pty")
        rows = write_rows_as(tmp_path, "csv")
        out = tmp_path / "out.jsonl"
        assert stance("predict", rows, "-o", out).err == ""
        quiet = out.read_bytes()
        terminal, side = pty.openpty()
        command = [sys.executable, "-m", "stance.cli", "predict", str(rows), "-o", str(out)]
        subprocess.run(command, stderr=side, check=True)
        os.write(side, b"end")
        assert b"5 sentences" in os.read(terminal, 1 << 16)
        assert out.read_bytes() == quiet


def stop_after(monkeypatch, count):
    """The user presses Ctrl-C when so many lines were labelled."""
    import stance.bulk

    def stopped(*arguments):
        for number, pair in enumerate(label(*arguments)):
            if number == count:
                raise KeyboardInterrupt
            yield pair

    monkeypatch.setattr(stance.bulk, "label", stopped)
