"""Which serials a second has used, where no ring knows every savefile."""

# Forgetting costs tries, not names.
SECONDS_REMEMBERED = 4096


class Serials:
    """Suggests serials as `record.ring.Ring` does, from what `taken` has told."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def next_serial(self, epoch: int) -> int:
        """Suggest the serial for a new savefile of this second; whether it is free is not known."""
        return self._next.get(epoch, 0)

    def taken(self, epoch: int, serial: int) -> None:
        """Note that the directory already has something under this epoch and serial."""
        if len(self._next) >= SECONDS_REMEMBERED:
            self._next.clear()
        self._next[epoch] = serial + 1
