"""Where captures are that tests go through: in this directory, and more of them if there are."""

from pathlib import Path

OWN = Path(__file__).resolve().parent
SHARED = OWN.parents[2] / "shared" / "pcaps"
"""Beside the repository, where somebody keeps more of them."""
_NO_CAPTURES = (".py", ".tsv", ".md", ".txt")


def found() -> list[Path]:
    """All captures, of any format, whole or damaged; by path."""
    return sorted(
        path
        for place in (OWN, SHARED)
        if place.is_dir()
        for path in place.iterdir()
        if path.suffix not in _NO_CAPTURES and path.is_file()
    )
