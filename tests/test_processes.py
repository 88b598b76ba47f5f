"""Several processes, as `accelerate launch` starts them on several devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_config

from stance import Bundle

pytest.importorskip("torch", reason="training needs the `train` extra")


@pytest.mark.slow
def test_two_processes_share_the_work_and_one_writes(tiny_base: Path, tmp_path: Path):
    config = write_config(tmp_path, tiny_base)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    outcome = subprocess.run(
        [*launch, "-m", "stance.cli", "train", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr.count("exporting, quantising and checking the graph") == 1
    assert outcome.stderr.count("epoch 2: loss") == 1
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2]
    assert Bundle.load(tmp_path / "run" / "bundle").heads
