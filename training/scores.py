"""The scores of labels told for a set of sentences: overall, by slice, by contrast group."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.baselines import Answer
from training.corpus import Example
from training.metrics import HeadScore, score
from training.scheme import MISSING, Task
from training.significance import Difference, Interval, bootstrap_macro_f1, difference, interval

LENGTH_BANDS = (  # name, fewest and most words
    ("under 10 words", 0, 9),
    ("10 to 19", 10, 19),
    ("20 to 29", 20, 29),
    ("30 or more", 30, sys.maxsize),
)


@dataclass(frozen=True, slots=True)
class SystemScore:
    """One row of a comparison: a bundle or a baseline.

    `tasks` and `intervals` go by the task's name; an interval is the bootstrap's, of macro-F1.
    `consistency` is the share of the contrast groups in which every reported label of every row
    is right; None where the data has no groups.
    """

    name: str
    tasks: Mapping[str, HeadScore]
    intervals: Mapping[str, Interval]
    consistency: float | None


@dataclass(frozen=True, slots=True)
class Slice:
    """Scores on the rows that have something in common; accuracy and macro-F1 go by task."""

    name: str
    rows: int
    accuracy: Mapping[str, float]
    macro_f1: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Groups:
    """Contrast groups: the share of them that is wholly right, over all tasks and per task."""

    number: int
    consistency: float
    tasks: Mapping[str, float]


class Sheet:
    """Labelled sentences, ready to have answers marked against them.

    Args:
        examples: the sentences with their gold labels.
        tasks: what to score; those without a gold label here are dropped.
    """

    def __init__(self, examples: Sequence[Example], tasks: Sequence[Task]) -> None:
        self.examples = tuple(examples)
        gold = [(task, task.gold(examples)) for task in tasks]
        self.tasks = tuple(task for task, codes in gold if (codes != MISSING).any())
        self._gold = {task.name: codes for task, codes in gold}
        self._units = [example.group or f"row {row}" for row, example in enumerate(examples)]

    @property
    def reported(self) -> tuple[Task, ...]:
        """The tasks in the labels that users see."""
        return tuple(task for task in self.tasks if not task.fine)

    def gold(self, task: Task) -> np.ndarray:
        """The code of each row's label, `MISSING` where it has none."""
        return self._gold[task.name]

    def rows(self, task: Task) -> np.ndarray:
        """The numbers of the rows that have the task's label."""
        return np.flatnonzero(self.gold(task) != MISSING)

    def right(self, task: Task, answer: Answer) -> np.ndarray:
        """Whether each row's answer is the gold label, shape (rows,); True where there is none."""
        gold = self.gold(task)
        right: np.ndarray = (gold == answer[task.name]) | (gold == MISSING)
        return right

    def score(self, answers: Mapping[str, Answer]) -> tuple[SystemScore, ...]:
        """Score systems by name, on the tasks that they answer."""
        scored = []
        for name, answer in answers.items():
            tasks = [task for task in self.tasks if task.name in answer]
            groups = self.groups(answer)
            scored.append(
                SystemScore(
                    name,
                    {task.name: self._score(task, answer, self.rows(task)) for task in tasks},
                    {task.name: interval(self._resample(task, [answer])) for task in tasks},
                    None if groups is None else groups.consistency,
                )
            )
        return tuple(scored)

    def compare(self, first: Answer, second: Answer) -> dict[str, Difference]:
        """Second minus first, for every task that both answer."""
        differences = {}
        for task in self.tasks:
            if task.name not in first or task.name not in second:
                continue
            rows = self.rows(task)
            before, after = self._resample(task, [first, second])
            gain = (
                self._score(task, second, rows).macro_f1 - self._score(task, first, rows).macro_f1
            )
            differences[task.name] = difference(
                gain,
                after - before,
                self.right(task, first)[rows],
                self.right(task, second)[rows],
            )
        return differences

    def confusion(self, task: Task, answer: Answer) -> tuple[tuple[int, ...], ...]:
        """Rows by gold label (outer) and answer (inner), in the order of the task's labels."""
        rows = self.rows(task)
        size = len(task.labels)
        cells = np.bincount(
            self.gold(task)[rows] * size + answer[task.name][rows], minlength=size * size
        )
        return tuple(tuple(line) for line in cells.reshape(size, size).tolist())

    def groups(self, answer: Answer) -> Groups | None:
        """How many contrast groups are wholly right; None without groups or without a head."""
        members = self._by(lambda example: example.group)
        if not members or any(task.name not in answer for task in self.reported):
            return None
        right = {task.name: self.right(task, answer) for task in self.reported}
        everywhere = np.logical_and.reduce(list(right.values()))

        def whole(marks: np.ndarray) -> float:
            return float(np.mean([marks[rows].all() for rows in members.values()]))

        return Groups(
            len(members), whole(everywhere), {name: whole(marks) for name, marks in right.items()}
        )

    def by_length(self, answer: Answer) -> tuple[Slice, ...]:
        """Scores by number of words."""
        words = [len(example.text.split()) for example in self.examples]
        parts = {
            name: [row for row, count in enumerate(words) if first <= count <= last]
            for name, first, last in LENGTH_BANDS
        }
        return self._slices(answer, {name: rows for name, rows in parts.items() if rows})

    def by_beat(self, answer: Answer) -> tuple[Slice, ...]:
        """Scores by the rows' `beat`; empty where they have none."""
        return self._slices(answer, dict(sorted(self._by(lambda example: example.beat).items())))

    def _by(self, key: Callable[[Example], str | None]) -> dict[str, list[int]]:
        found: defaultdict[str, list[int]] = defaultdict(list)
        for row, example in enumerate(self.examples):
            if (name := key(example)) is not None:
                found[name].append(row)
        return dict(found)

    def _slices(self, answer: Answer, parts: Mapping[str, list[int]]) -> tuple[Slice, ...]:
        slices = []
        for name, members in parts.items():
            scores = {
                task.name: self._score(task, answer, rows)
                for task in self.reported
                if len(rows := np.intersect1d(self.rows(task), members))
            }
            slices.append(
                Slice(
                    name,
                    len(members),
                    {task: one.accuracy for task, one in scores.items()},
                    {task: one.macro_f1 for task, one in scores.items()},
                )
            )
        return tuple(slices)

    def _score(self, task: Task, answer: Answer, rows: np.ndarray) -> HeadScore:
        labels = np.array(task.labels)
        return score(
            labels[self.gold(task)[rows]].tolist(), labels[answer[task.name][rows]].tolist()
        )

    def _resample(self, task: Task, answers: Sequence[Answer]) -> np.ndarray:
        rows = self.rows(task)
        return bootstrap_macro_f1(
            self.gold(task)[rows],
            [answer[task.name][rows] for answer in answers],
            len(task.labels),
            [self._units[row] for row in rows],
        )
