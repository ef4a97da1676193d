"""How what ``dlctl verify --repair`` keeps beside a savefile NAME is called.

    NAME.damaged, NAME.damaged.N   the original of a savefile of which a new one was made
    .NAME.repairing                the new one, while it is made, or by a repair that was killed

These belong to the savefile: their bytes are its own, and a ring prunes them with it.
"""

import re

from daemonlogger_py.savefile.names import Naming, SavefileName

_DAMAGED = ".damaged"
_REPAIRING = ".repairing"
_KEPT = re.compile(rf"(.+){re.escape(_DAMAGED)}(?:\.[0-9]+)?", re.ASCII | re.DOTALL)
_UNFINISHED = re.compile(rf"\.(.+){re.escape(_REPAIRING)}", re.DOTALL)


def kept_name(name: str, number: int = 0) -> str:
    """What the original of a savefile is called; with a number from 1 on, where that is taken."""
    return f"{name}{_DAMAGED}.{number}" if number else name + _DAMAGED


def unfinished_name(name: str) -> str:
    """What the file is called that will have this name."""
    return f".{name}{_REPAIRING}"


def is_kept(name: str) -> bool:
    """Whether what belongs to a savefile is the original of it, and not just in the making."""
    return _KEPT.fullmatch(name) is not None


def is_unfinished(name: str, naming: Naming) -> bool:
    """Whether it is what a repair of a savefile of that prefix makes, or left behind."""
    found = _UNFINISHED.fullmatch(name)
    return found is not None and naming.parse(found[1]) is not None


def owner_of(name: str, naming: Naming) -> SavefileName | None:
    """Name the savefile that something of this name belongs to; None: it is nothing like that."""
    # Nearly no name in a directory has either: the expressions would look at each from both ends.
    if _DAMAGED not in name and not name.endswith(_REPAIRING):
        return None
    found = _KEPT.fullmatch(name) or _UNFINISHED.fullmatch(name)
    return None if found is None else naming.parse(found[1])
