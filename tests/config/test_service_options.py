"""The later half of daemonlogger's table: at its place in the whole, and in groups of its own."""

from daemonlogger_py.config.options import GROUPS, OPTIONS
from daemonlogger_py.config.service_options import SERVICE_GROUPS, SERVICE_OPTIONS


def test_it_ends_the_table() -> None:
    assert OPTIONS[-len(SERVICE_OPTIONS) :] == SERVICE_OPTIONS
    assert GROUPS[-len(SERVICE_GROUPS) :] == SERVICE_GROUPS


def test_its_groups_are_its_own_and_come_in_order() -> None:
    assert tuple(dict.fromkeys(option.group for option in SERVICE_OPTIONS)) == SERVICE_GROUPS
    earlier = OPTIONS[: -len(SERVICE_OPTIONS)]
    assert not {option.group for option in earlier} & set(SERVICE_GROUPS)
