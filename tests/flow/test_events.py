"""Events say what native code says, by the same numbers."""

import re
from enum import IntEnum
from pathlib import Path

import pytest

import daemonlogger_py.flow
from daemonlogger_py.flow.events import What, Why

FLOW_PXD = Path(daemonlogger_py.flow.__file__).with_name("flow.pxd")


def native(prefix: str) -> dict[str, int]:
    """Names and numbers of an enumeration in flow.pxd, which counts on from its first."""
    names = re.findall(rf"^    {prefix}_(\w+)( = \d+)?", FLOW_PXD.read_text(), re.MULTILINE)
    assert names[0][1] == " = 1"
    assert not any(number for _, number in names[1:])
    return {name: index for index, (name, _) in enumerate(names, 1)}


@pytest.mark.parametrize(("enumeration", "prefix"), [(Why, "CLOSED"), (What, "EVENT")])
def test_numbers_are_those_of_native_code(enumeration: type[IntEnum], prefix: str) -> None:
    ours = {member.name: member.value for member in enumeration}
    theirs = native(prefix)

    assert theirs.items() <= ours.items()
    assert set(ours) - set(theirs) == ({"LATE", "DIFFERS"} if enumeration is What else set())
