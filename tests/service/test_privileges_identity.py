"""Whom ``-u`` and ``-g`` name."""

import grp
import os
import pwd

import pytest

from daemonlogger_py.errors import UsageError
from daemonlogger_py.service.privileges import Identity, identity

NOBODY = "65534"
NOT_IDS = ["", "-1", "4294967295", "99999999999999999999", " 0", "0 ", "1_0", "+1", "0x0", "٣",
           "no-such-name", "a\0b", "\udcff", "\ud800", "%n", "nobody:nogroup"]  # fmt: skip


def without_account() -> int:
    """Find a number that no account has."""
    taken = {account.pw_uid for account in pwd.getpwall()}
    return next(uid for uid in range(4_000_000_000, 4_100_000_000) if uid not in taken)


# Whom to run as


def test_nobody_asked_for() -> None:
    assert identity(None, None) is None


@pytest.mark.parametrize("user", NOT_IDS)
def test_no_such_user(user: str) -> None:
    with pytest.raises(UsageError) as caught:
        identity(user, None)

    assert str(caught.value) == (
        f"-u/--user {user!r}: no such user; accepted: a user's name or number"
    )
    with pytest.raises(UsageError, match="no such user"):
        identity(user, "0")


@pytest.mark.parametrize("group", NOT_IDS)
@pytest.mark.parametrize("user", [None, NOBODY])
def test_no_such_group(user: str | None, group: str) -> None:
    with pytest.raises(UsageError) as caught:
        identity(user, group)

    assert str(caught.value) == (
        f"-g/--group {group!r}: no such group; accepted: a group's name or number"
    )


def test_user_alone_brings_the_account_s_groups() -> None:
    for account in pwd.getpwall():
        found = identity(account.pw_name, None)
        assert found is not None
        member = {entry.gr_gid for entry in grp.getgrall() if account.pw_name in entry.gr_mem}
        assert found[:2] == (account.pw_uid, account.pw_gid)
        assert {*found.groups} == {account.pw_gid, *member}
        assert found.name == account.pw_name


def test_group_that_is_named_twice_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    account = pwd.getpwuid(0)
    monkeypatch.setattr(os, "getgrouplist", lambda _name, gid: [gid, 7, 5, 7, gid])
    found = identity(account.pw_name, None)
    assert found is not None
    assert found.groups == (account.pw_gid, 7, 5)


def test_number_of_an_account_is_the_account() -> None:
    account = pwd.getpwuid(0)
    assert identity("0", None) == identity(account.pw_name, None)
    assert identity("000", None) == identity(account.pw_name, None)


def test_group_is_the_only_one() -> None:
    root = pwd.getpwuid(0).pw_name
    assert identity("0", "4321") == Identity(0, 4321, (), root)
    assert identity(root, grp.getgrgid(0).gr_name) == Identity(0, 0, (), root)


def test_number_without_an_account_needs_a_group() -> None:
    uid = without_account()

    assert identity(str(uid), "7") == Identity(uid, 7, (), str(uid))
    with pytest.raises(UsageError, match=f"-u/--user '{uid}': no account .* with -g/--group, or"):
        identity(str(uid), None)


def test_group_alone_leaves_the_user() -> None:
    found = identity(None, "4321")
    assert found is not None
    assert found[:3] == (os.geteuid(), 4321, ())


def test_group_alone_of_a_user_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", without_account)
    assert identity(None, "0") == Identity(without_account(), 0, (), str(without_account()))


def test_name_of_digits_is_a_name_first(monkeypatch: pytest.MonkeyPatch) -> None:
    known = pwd.struct_passwd(("1234", "x", 77, 78, "", "/", "/bin/false"))
    monkeypatch.setattr(pwd, "getpwnam", {"1234": known}.__getitem__)
    monkeypatch.setattr(os, "getgrouplist", lambda _name, gid: [gid])
    assert identity("1234", None) == Identity(77, 78, (78,), "1234")
