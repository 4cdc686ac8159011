"""Looks through everything that is kept for what does not fit together, and mends it.

Domains bring steps, each a way through one collection or bucket in pages; this goes on where the
last run stopped, until its time is over. Every repair is guarded by the version or generation
that was looked at, so it may run during traffic and twice at once: what moved meanwhile is left
for the next round. Technical: knows no domain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.documents import DocumentStore, Set
from shared.signals import signal

_POSITION = "maintenance/reconciler"
# Seconds of one run: most of the function's timeout (300 s), less the longest page.
_RUN = 200.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit; `repaired` is False when a person has to decide, when only a
    report was asked for, or when it moved while it was looked at."""

    kind: str
    subject: str
    repaired: bool


@dataclass(frozen=True, slots=True)
class Page:
    """`last` is where the next page begins; empty at the end."""

    findings: Sequence[Finding]
    last: str


class Step(Protocol):
    name: str

    def page(self, after: str, *, repair: bool) -> Page:
        """What comes after `after` ("" is the beginning). Raises errors.Unavailable."""
        ...


class Reconciler:
    """`steps` in the order in which one may leave work to the next."""

    def __init__(
        self,
        documents: DocumentStore,
        steps: Sequence[Step],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._documents = documents
        self._steps = steps
        self._clock = clock

    def run(self, seconds: float = _RUN) -> list[Finding]:
        """Mend, and signal each finding as it is made: an outage in the middle hides none."""
        findings = []
        for finding in self.mend(seconds):
            signal(
                "reconciler.found",
                severity="WARNING",
                kind=finding.kind,
                subject=finding.subject,
                outcome="repaired" if finding.repaired else "left",
            )
            findings.append(finding)
        return findings

    def mend(self, seconds: float) -> Iterator[Finding]:
        """From where the last run stopped, to the end or until the time is over."""
        end = self._clock() + seconds
        for found, step, last in self._pages(*self._position(), repair=True):
            yield from found
            self._documents.commit([Set(_POSITION, {"step": step, "after": last})])
            if self._clock() >= end:
                break

    def report(self) -> Iterator[Finding]:
        """All that does not fit, from the beginning; changes nothing."""
        for found, _, _ in self._pages(0, "", repair=False):
            yield from found

    def _pages(
        self, first: int, after: str, *, repair: bool
    ) -> Iterator[tuple[Sequence[Finding], str, str]]:
        """Findings, and the step and place to go on from; after the last step the first."""
        for number in range(first, len(self._steps)):
            while True:
                page = self._steps[number].page(after, repair=repair)
                after = page.last
                ahead = number if after else (number + 1) % len(self._steps)
                yield page.findings, self._steps[ahead].name, after
                if not after:
                    break

    def _position(self) -> tuple[int, str]:
        kept = self._documents.get(_POSITION)
        names = [step.name for step in self._steps]
        if kept is None or kept.data["step"] not in names:
            return 0, ""
        return names.index(kept.data["step"]), str(kept.data["after"])
