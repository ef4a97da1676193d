"""The ledger and the pins of a catalog: runs of recorders, what they missed, what is to be kept.

Rows in, rows out; when and why any of them is written is the recorder's, and `dlctl pin`'s.
"""

from typing import Any

from daemonlogger_py.savefile.catalog_database import Database
from daemonlogger_py.savefile.catalog_rows import Gap, Pin, Run
from daemonlogger_py.savefile.catalog_schema import GAP, PIN, RUN

# What is kept for years is bounded: a gap and a run take some 200 bytes each.
GAPS_KEPT = 100_000
RUNS_KEPT = 20_000

_QUOTA, _PINS_MADE = "pin_quota_bytes", "pins_made"
_NOTES = "notes_of_run_"


class Ledger(Database):
    """Runs, gaps and pins of a catalog."""

    # Runs

    def runs(self) -> list[Run]:
        """By number."""
        return list(self._believed(RUN, "ORDER BY number"))

    def last_run(self) -> Run | None:
        """The newest one."""
        return next(self._believed(RUN, "ORDER BY number DESC LIMIT 1"), None)

    def begin_run(self, run: Run) -> int:
        """Write a new run and return its number."""
        with self.transaction():
            number = run.number or self._next_number(RUN)
            self._put(RUN, run._replace(number=number))
            self._run("DELETE FROM run WHERE number <= ?", (number - RUNS_KEPT,))
        return number

    def end_run(self, number: int, ended_ns: int, why: str) -> None:
        """Note that a run ended."""
        with self.transaction():
            self._change_run(number, ended_ns=ended_ns, seen_ns=ended_ns, why=why)
            self._run("DELETE FROM meta WHERE key = ?", (f"{_NOTES}{number}",))

    def seen(self, number: int, seen_ns: int) -> None:
        """Note a sign of life."""
        self._change_run(number, seen_ns=seen_ns)

    def notes_of(self, number: int) -> int:
        """How many notes of a run that goes on are written, as `set_notes_of` said; else 0."""
        return int(self._get(f"{_NOTES}{number}") or 0)

    def set_notes_of(self, number: int, count: int) -> None:
        """Note how many notes of its recorder are written of a run, with what they say."""
        with self.transaction():
            self._set(f"{_NOTES}{number}", str(count))

    # Gaps

    def gaps(self, from_ns: int | None = None, to_ns: int | None = None) -> list[Gap]:
        """Those that touch [from_ns, to_ns), by their beginning."""
        wanted = "1"
        if from_ns is not None:
            wanted += " AND (to_ns IS NULL OR to_ns >= :from_ns)"
        if to_ns is not None:
            wanted += " AND from_ns < :to_ns"
        where = f"WHERE {wanted} ORDER BY from_ns, number"
        span = {"from_ns": from_ns, "to_ns": to_ns}
        return list(self._believed(GAP, where, span))

    def add_gap(self, gap: Gap) -> int:
        """Write a new gap and return its number."""
        with self.transaction():
            number = gap.number or self._next_number(GAP)
            self._put(GAP, gap._replace(number=number))
            self._run("DELETE FROM gap WHERE number <= ?", (number - GAPS_KEPT,))
        return number

    def close_gap(self, number: int, to_ns: int, packets: int | None = None) -> None:
        """Note that a gap ended, and what was missed if that is known."""
        with self.transaction():
            for gap in self._believed(GAP, "WHERE number = ?", (number,)):
                missed = gap.packets if packets is None else packets
                self._put(GAP, gap._replace(to_ns=to_ns, packets=missed))

    # Pins

    def pins(self) -> list[Pin]:
        """By number; also those with a wrong checksum, as to prune is worse than to keep."""
        where = "WHERE typeof(from_ns) = 'integer' AND typeof(to_ns) = 'integer' ORDER BY number"
        return [Pin._make(columns) for columns, _ in self._rows(PIN, where)]

    def pin(self, from_ns: int, to_ns: int, reason: str, created_ns: int) -> Pin:
        """Pin the span [from_ns, to_ns)."""
        with self.transaction():
            # A number is not given twice: `unpin 3` must not mean another one a day later.
            number = max(int(self._get(_PINS_MADE) or 0) + 1, self._next_number(PIN))
            pin = Pin(number, from_ns, to_ns, reason, created_ns)
            self.put_pin(pin)
        return pin

    def put_pin(self, pin: Pin) -> None:
        """Write a pin as it is, with its number."""
        with self.transaction():
            self._put(PIN, pin)
            self._set(_PINS_MADE, str(max(int(self._get(_PINS_MADE) or 0), pin.number)))

    def unpin(self, number: int) -> Pin | None:
        """Take a pin away and return it; None: there is none of this number."""
        with self.transaction():
            found = [pin for pin in self.pins() if pin.number == number]
            self._run("DELETE FROM pin WHERE number = ?", (number,))
        return found[0] if found else None

    def pin_quota_bytes(self) -> int | None:
        """Bytes that pins may hold; None: no limit."""
        value = self._get(_QUOTA)
        return None if value is None else int(value)

    def set_pin_quota_bytes(self, quota_bytes: int | None) -> None:
        """Set it."""
        with self.transaction():
            if quota_bytes is None:
                self._run("DELETE FROM meta WHERE key = ?", (_QUOTA,))
            else:
                self._set(_QUOTA, str(quota_bytes))

    def _change_run(self, number: int, **changes: Any) -> None:
        with self.transaction():
            for run in self._believed(RUN, "WHERE number = ?", (number,)):
                self._put(RUN, run._replace(**changes))
