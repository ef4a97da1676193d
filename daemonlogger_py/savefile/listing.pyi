from typing import TypeVar

_Kind = TypeVar("_Kind", bound=tuple[int, int, str])

NAME_MAX: int

def parse(start: str, name: str) -> tuple[int, int] | None: ...
def list_savefiles(dir_fd: int, start: str, kind: type[_Kind]) -> list[_Kind]: ...
def sizes_and_times(
    dir_fd: int, names: list[str], *, followed: bool
) -> list[tuple[int, int] | None]: ...
