from collections.abc import Iterable

def gaps_after(
    segments: Iterable[tuple[int, int]], end: int, begin: int | None = None
) -> tuple[list[tuple[int, int]], int]: ...
