"""Labelled rows for the tests of the data tools, and their commands."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from stance.cli.data import data

LONG = (
    "Bupati Kepulauan Anambas membantah anggaran perbaikan dermaga Tarempa sebesar empat miliar "
    "rupiah dipakai untuk membeli mobil dinas baru."
)


def row(text: str, labels: str, cue: str = "", source: str = "", **more: object) -> dict:
    claim, certainty, attribution = labels.split()
    heads = {"claim_type": claim, "certainty": certainty, "attribution": attribution}
    return {"text": text, **heads, "cue": cue, "source": source, **more}


def denial(**changes: object) -> dict:
    """A valid row; the tests of `check` break it in one place each."""
    clean = row(
        LONG, "event denied named", "membantah", "Bupati Kepulauan Anambas", id="a", topic="dermaga"
    )
    return {key: value for key, value in {**clean, **changes}.items() if value is not ...}


CLEAN = [
    denial(beat="politik", register="indirect"),
    row("Sidang akan digelar Senin.", "prediction confirmed newsroom", id="b", misleading=True),
    row("Baca juga: Jadwal Imsakiyah Kota Palu", "none none none", id="c"),
    row("KPU mengakui surat suara kurang.", "event confirmed named", "mengakui", "KPU", group="g"),
    row("Surat suara diduga kurang.", "event alleged unnamed", "diduga", group="g"),
]


def write(file: Path, rows: list) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def run(*arguments: object):
    return CliRunner().invoke(data, list(map(str, arguments)))
