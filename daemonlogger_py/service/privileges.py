"""Who the recorder runs as, and giving up for good whatever more it was started with.

One order is safe, and it is `drop`'s: whatever needs privilege is open already; then the chroot,
the bounding set, groups, group, user, no-new-privileges, capabilities; then proof that none of it
can be had back. It is done before any thread is started: capabilities and no-new-privileges are a
thread's own.

Who stays root in the whole file system keeps what root has, and nobody is told otherwise: without
``-u``, ``-g`` and ``-T``, as the original; with ``-u root``, as tcpdump's ``-Z root``; with ``-g``
alone. In every other case no capability is left, also not of those that an ordinary user was
started with. What the process may then touch is narrowed down further by ``sandbox``.
"""

import errno
import grp
import os
import pwd
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from daemonlogger_py.errors import PrivilegeError, UsageError
from daemonlogger_py.service import linux

# 2^32 - 1 means "leave it as it is" to setresuid(2), whatever is asked for.
LARGEST_ID = (1 << 32) - 2

_NOTHING = linux.Capabilities(0, 0, 0)


class Identity(NamedTuple):
    """Whom to run as: all three user ids, all three group ids, all supplementary groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    """What messages call the user."""


def identity(user: str | None, group: str | None) -> Identity | None:
    """Look up ``-u`` and ``-g``, names or numbers; None when neither is given.

    A user alone brings the login group and the supplementary groups. With a group, that group is
    the only one. A group alone leaves the user. A name of digits alone is a name first (as for
    chown). Raises UsageError when there is no such user or group, and for a number without an
    account that comes without a group: none would be a guess.
    """
    if user is None:
        return None if group is None else _with_group(group)
    uid, account = _look_up(user)
    name = user if account is None else account.pw_name
    if group is not None:
        return Identity(uid, _group_id(group), (), name)
    if account is None:
        raise UsageError(
            f"-u/--user {user!r}: no account has this number, so it has no group; "
            "accepted: with -g/--group, or an account's name or number"
        )
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return Identity(uid, account.pw_gid, tuple(dict.fromkeys(groups)), name)


def stays_root(identity: Identity | None, chroot: str | None) -> bool:
    """Whether `drop` leaves root what root has."""
    return os.geteuid() == 0 and chroot is None and (identity is None or identity.uid == 0)


@contextmanager
def acting_as(identity: Identity | None, chroot: str | None = None) -> Iterator[None]:
    """Access files with no more rights than `drop`, given the same, will leave.

    To find out beforehand what will work afterwards: the effective ids and capabilities are the
    target's, and are restored. Raises PrivilegeError when they cannot be taken on.
    """
    euid, egid, groups = os.geteuid(), os.getegid(), os.getgroups()
    held = linux.capabilities()
    try:
        if identity is not None:
            _set_ids(identity, for_good=False)
        if not stays_root(identity, chroot):
            linux.set_capabilities(held._replace(effective=0))
        yield
    finally:
        # With the capabilities first: to anybody but root they are what the rest needs.
        linux.set_capabilities(held)
        os.seteuid(euid)
        os.setegid(egid)
        _set_groups(tuple(groups))
        linux.set_capabilities(held)  # root's, as changing to root sets all of them


def drop(identity: Identity | None, chroot: str | None) -> bool:
    """Become `identity` in the root directory `chroot`, give everything else up, and prove it.

    None: the ids stay, all three being the effective one; the root directory stays. Returns
    whether privileges were given up: False means a root who keeps them, see `stays_root`. Raises
    PrivilegeError when anything of this fails, after which the process is fit for nothing but to
    end; and when there is more than one thread.
    """
    if stays_root(identity, chroot):
        if identity is not None:
            _set_ids(identity, for_good=True)
        return False
    require_one_thread()
    target = identity or Identity(os.geteuid(), os.getegid(), tuple(os.getgroups()), "")
    before = {*os.getresuid()}, {*os.getresgid()}
    if chroot is not None:
        _change_root(chroot)
    _empty_bounding_set()  # needs CAP_SETPCAP, which a change of user takes away
    _set_ids(target, for_good=True)
    try:
        linux.no_new_privileges()
        linux.clear_ambient()
        linux.set_capabilities(_NOTHING)
        _prove(target, *before)
    except OSError as error:
        raise PrivilegeError(f"capabilities cannot be given up: {error.strerror}") from error
    return True


def missing_capabilities(*names: str) -> list[str]:
    """Tell which of these (``CAP_NET_RAW``) this process does not have in effect."""
    effective = linux.capabilities().effective
    return [name for name in names if not effective >> linux.CAPABILITIES.index(name) & 1]


def require_one_thread() -> None:
    """Raise PrivilegeError if there is another thread: it would keep what this one gives up."""
    try:
        threads = len(os.listdir("/proc/self/task"))  # native ones, too
    except OSError:
        threads = threading.active_count()
    if threads > 1:
        raise PrivilegeError(f"privileges are given up by one thread only, and {threads} run")


def _with_group(group: str) -> Identity:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Identity(uid, _group_id(group), (), name)


def _look_up(user: str) -> tuple[int, pwd.struct_passwd | None]:
    try:
        account = pwd.getpwnam(user)
    except (KeyError, ValueError):  # ValueError: no name can hold a NUL
        uid = _number(user)
        if uid is None:
            raise UsageError(
                f"-u/--user {user!r}: no such user; accepted: a user's name or number"
            ) from None
        try:
            return uid, pwd.getpwuid(uid)
        except KeyError:
            return uid, None
    return account.pw_uid, account


def _group_id(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        gid = _number(group)
        if gid is None:
            raise UsageError(
                f"-g/--group {group!r}: no such group; accepted: a group's name or number"
            ) from None
        return gid


def _number(text: str) -> int | None:
    # int() alone would take " 1_0 " and digits of other scripts, too.
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(LARGEST_ID)):
        return None
    number = int(text)
    return number if number <= LARGEST_ID else None


def _set_ids(target: Identity, *, for_good: bool) -> None:
    """Groups, group, user: in this order, as the user is what permits the rest.

    For good, the real and the saved ids as well; else the effective ones only.
    """
    uid, gid = target.uid, target.gid
    try:
        _set_groups(target.groups)
        if for_good:
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        else:
            os.setegid(gid)
            os.seteuid(uid)
    except OSError as error:
        lacking = missing_capabilities("CAP_SETGID", "CAP_SETUID")
        why = (
            f" ({' and '.join(lacking)} missing)" if lacking and error.errno == errno.EPERM else ""
        )
        raise PrivilegeError(
            f"cannot run as {target.name} (uid {uid}, gid {gid}): {error.strerror}{why}"
        ) from error


def _set_groups(groups: tuple[int, ...]) -> None:
    # Not permitted to an ordinary user, who may well have them already.
    if {*groups} != {*os.getgroups()}:
        os.setgroups(groups)


def _change_root(chroot: str) -> None:
    try:
        fd = os.open(chroot, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fchdir(fd)
            os.chroot(".")
            os.chdir("/")  # else the working directory would lead out again
            changed = os.path.samestat(os.fstat(fd), os.stat("/"))
        finally:
            os.close(fd)
    except OSError as error:
        lacking = missing_capabilities("CAP_SYS_CHROOT") if error.errno == errno.EPERM else []
        why = f" ({lacking[0]} missing)" if lacking else ""
        raise PrivilegeError(f"-T/--chroot {chroot!r}: {error.strerror}{why}") from error
    if not changed:
        raise PrivilegeError(f"-T/--chroot {chroot!r}: the root directory is still another one")


def _empty_bounding_set() -> None:
    try:
        linux.drop_bounding()
    except PermissionError:
        pass  # it limits what execve(2) gives, which no-new-privileges reduces to nothing
    except OSError as error:
        raise PrivilegeError(f"the bounding set cannot be emptied: {error.strerror}") from error


def _prove(target: Identity, uids_before: set[int], gids_before: set[int]) -> None:
    """Ask the kernel what is left, then try to get back what is gone."""
    state = {
        "user ids": os.getresuid() == (target.uid,) * 3,
        "group ids": os.getresgid() == (target.gid,) * 3,
        "supplementary groups": {*os.getgroups()} == {*target.groups},
        "capabilities": linux.capabilities() == _NOTHING,
        "ambient capabilities": linux.ambient() == 0,
        "no-new-privileges": linux.has_no_new_privileges(),
    }
    for what, holds in state.items():
        if not holds:
            raise PrivilegeError(f"privileges were not given up: {what} are not as they were set")
    for what, attempt in _ways_back(target, uids_before, gids_before):
        try:
            attempt()
        except OSError:
            continue
        raise PrivilegeError(f"privileges were not given up: {what} is still permitted")


def _ways_back(
    target: Identity, uids_before: set[int], gids_before: set[int]
) -> Iterator[tuple[str, Callable[[], None]]]:
    for uid in sorted({0, *uids_before} - {target.uid}):
        yield f"changing to user {uid}", partial(os.setresuid, uid, uid, uid)
    for gid in sorted({0, *gids_before} - {target.gid}):
        yield f"changing to group {gid}", partial(os.setresgid, gid, gid, gid)
    yield "changing groups", partial(os.setgroups, target.groups)
    yield "changing the root directory", partial(os.chroot, "/")
    for name in ("CAP_SETUID", "CAP_NET_RAW"):
        mask = 1 << linux.CAPABILITIES.index(name)
        wanted = linux.Capabilities(mask, mask, 0)
        yield f"taking {name}", partial(linux.set_capabilities, wanted)
