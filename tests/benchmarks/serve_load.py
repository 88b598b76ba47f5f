"""Load `stance serve` on this machine and compare it with the predictor in one process.

    python tests/benchmarks/serve_load.py --seconds 20
    python tests/benchmarks/serve_load.py --seconds 20 --memory-minutes 10

What it prints: sentences per second at saturation (a closed loop: each
connection asks again once it is answered) against `Predictor.predict`, percentiles of the answer
time at half of that rate (an open loop: requests are sent on time, and time is counted from when a
request should have been sent), and the server's memory over time at half load. Client and server
share the processors, so the first figure is a lower bound; the server's processor time per
sentence says what serving costs even on a machine that is busy with other things. Only a server
that it starts itself, on the loopback address, is asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from stance.predictor import Predictor
from stance.sentences import split_sentences

EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "example.txt"
MIB = 1024


@contextmanager
def served(arguments: list[str]) -> Iterator[tuple[int, int]]:
    """A server's port and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stance.cli", "serve", "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r":(\d+) ", line)
        if found is None:
            sys.exit(f"the server did not start: {line}")
        yield int(found[1]), process.pid
    finally:
        process.terminate()
        process.wait()


class Connection:
    """One connection that stays open; HTTP as plain as the service speaks it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes) -> int:
        """Send a request to `/v1/predict` and read the answer; its status."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
        return int(head[9:12])


async def saturate(
    port: int, bodies: Iterator[bytes], connections: int, seconds: float
) -> tuple[int, float]:
    """Requests answered, and the seconds it took, when every connection waits for its answers."""
    end = time.perf_counter() + seconds
    answered = 0

    async def loop() -> None:
        nonlocal answered
        connection = Connection(port)
        while time.perf_counter() < end:
            status = await connection.ask(next(bodies))
            answered += status == 200

    started = time.perf_counter()
    await asyncio.gather(*(loop() for _ in range(connections)))
    return answered, time.perf_counter() - started


async def paced(port: int, bodies: Iterator[bytes], rate: float, seconds: float) -> list[float]:
    """Seconds from the moment each request is due to its answer, `rate` requests a second."""
    idle: list[Connection] = []
    times: list[float] = []

    async def one(due: float) -> None:
        connection = idle.pop() if idle else Connection(port)
        if await connection.ask(next(bodies)) == 200:
            times.append(time.perf_counter() - due)
        idle.append(connection)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = started + number / rate
            await asyncio.sleep(due - time.perf_counter())
            group.create_task(one(due))
    return sorted(times)


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """What the process holds in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / MIB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement")
    parser.add_argument("--sentences", type=int, default=10, help="sentences of one request")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2, help="model threads")
    parser.add_argument("--memory-minutes", type=float, default=0)
    options = parser.parse_args()

    article = EXAMPLE.read_text(encoding="utf-8")
    sentences = cycle([sentence.text for sentence in split_sentences(article)])
    requests = [list(islice(sentences, options.sentences)) for _ in range(50)]
    bodies = cycle([json.dumps({"texts": texts}).encode() for texts in requests])

    predictor = Predictor(threads=options.threads)
    done, used, started = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() < started + options.seconds:
        done += len(predictor.predict([text for texts in requests for text in texts]))
    alone = done / (time.perf_counter() - started)
    cost = 1000 * (time.process_time() - used) / done
    print(
        f"in process: {alone:.0f} sentences/s, {cost:.2f} ms of processor time each "
        f"({options.threads} threads)",
        flush=True,
    )

    with served(["--threads", str(options.threads)]) as (port, pid):
        asyncio.run(saturate(port, bodies, options.connections, 1))  # warm
        used = processor_seconds(pid)
        answered, seconds = asyncio.run(
            saturate(port, bodies, options.connections, options.seconds)
        )
        rate, full = answered / seconds, answered * options.sentences / seconds
        cost = 1000 * (processor_seconds(pid) - used) / (answered * options.sentences)
        print(
            f"served: {full:.0f} sentences/s, {100 * full / alone:.0f} %, {cost:.2f} ms each "
            f"({options.sentences} a request, {options.connections} connections)",
            flush=True,
        )
        times = asyncio.run(paced(port, bodies, rate / 2, options.seconds))
        p50, p95, p99 = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.95, 0.99))
        print(
            f"at half load ({rate / 2:.1f} requests/s, {len(times)} answers): "
            f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms",
            flush=True,
        )
        print(f"memory: {resident_mib(pid):.0f} MiB", flush=True)
        for minute in range(1, int(options.memory_minutes) + 1):
            asyncio.run(paced(port, bodies, rate / 2, 60))
            print(f"memory after {minute} min: {resident_mib(pid):.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
