"""Calls of the Linux kernel that Python has no function for: prctl, capabilities, Landlock, ioprio.

Mechanism alone: each works, for the calling thread only, or raises OSError. What is given up, in
which order and with what proof, is ``privileges``' and ``sandbox``'s.

ctypes is imported by the first call: a start that gives nothing up does not pay for it.
"""

import errno
import os
import struct
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ctypes

# In the order of their numbers (linux/capability.h).
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
    "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip

# linux/prctl.h
_CAPBSET_READ = 23
_CAPBSET_DROP = 24
_SET_NO_NEW_PRIVS = 38
_GET_NO_NEW_PRIVS = 39
_CAP_AMBIENT = 47
_AMBIENT_IS_SET = 1
_AMBIENT_CLEAR_ALL = 4

# Version 3 of the call: 64 capabilities, as two structures of 32 (capget(2)).
_CAPABILITY_VERSION = 0x20080522
_LOW = 0xFFFF_FFFF
_MOST_CAPABILITIES = 64

# System calls that are this old have one number on every architecture but Alpha and MIPS, where
# these are none, and the kernel says so.
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1


# An older system call has a number of its own on each architecture.
_IOPRIO_SET = {
    "x86_64": 251,
    "aarch64": 30,
    "riscv64": 30,
    "ppc64le": 273,
    "s390x": 282,
    "armv7l": 314,
    "i686": 289,
}
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_IDLE = 3
_IOPRIO_CLASS_SHIFT = 13


class Capabilities(NamedTuple):
    """A thread's capability sets, as bit masks: capability N is bit N."""

    effective: int
    permitted: int
    inheritable: int


def no_new_privileges() -> None:
    """Let no program that is executed from now on gain anything; there is no way back."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def has_no_new_privileges() -> bool:
    """Whether that has been done."""
    return _prctl(_GET_NO_NEW_PRIVS) == 1


def capabilities() -> Capabilities:
    """Tell which capabilities this thread has."""
    import ctypes

    header, data = _capability_header(), (ctypes.c_uint32 * 6)()
    _checked(_libc().capget(header, data))
    low, high = data[:3], data[3:]
    return Capabilities(*(low[which] | high[which] << 32 for which in range(3)))


def set_capabilities(wanted: Capabilities) -> None:
    """Have exactly these capabilities; PermissionError for more than are permitted."""
    import ctypes

    words = [mask & _LOW for mask in wanted] + [mask >> 32 for mask in wanted]
    _checked(_libc().capset(_capability_header(), (ctypes.c_uint32 * 6)(*words)))


def bounding() -> int:
    """Tell which capabilities a program that is executed could have at all, as a bit mask."""
    return _mask_of(lambda number: _prctl(_CAPBSET_READ, number))


def drop_bounding() -> None:
    """Let no program that is executed have a capability; PermissionError without CAP_SETPCAP."""
    left = bounding()
    for number in range(left.bit_length()):
        if left >> number & 1:
            _prctl(_CAPBSET_DROP, number)


def ambient() -> int:
    """Tell which capabilities a program that is executed keeps without being root: a bit mask."""
    return _mask_of(lambda number: _prctl(_CAP_AMBIENT, _AMBIENT_IS_SET, number))


def clear_ambient() -> None:
    """Let a program that is executed keep none of them."""
    _prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)


def landlock_abi() -> int:
    """Tell which version of Landlock the kernel has, at least 1.

    Raises OSError: ENOSYS where it was not built, EOPNOTSUPP where it is switched off.
    """
    return _syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)


def landlock_ruleset(handled_files: int, handled_network: int, scoped: int) -> int:
    """Open a set of rules that refuses all of these accesses; returns its descriptor.

    The masks are those of linux/landlock.h; what the kernel does not know has to be 0.
    """
    # A kernel that knows fewer fields takes more of them, as long as they are 0.
    attributes = struct.pack("=QQQ", handled_files, handled_network, scoped)
    return _syscall(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)


def landlock_allow(ruleset_fd: int, fd: int, access: int) -> None:
    """Except what is open as `fd`, and all beneath it, from what the rules refuse."""
    attributes = struct.pack("=Qi", access, fd)
    _syscall(_LANDLOCK_ADD_RULE, ruleset_fd, _LANDLOCK_RULE_PATH_BENEATH, attributes, 0)


def landlock_restrict(ruleset_fd: int) -> None:
    """Put the rules into force, for good; PermissionError unless `no_new_privileges()`."""
    _syscall(_LANDLOCK_RESTRICT_SELF, ruleset_fd, 0)


def leave_disk_to_others() -> None:
    """Have this thread, and those it starts, use disks only while nobody else does.

    Raises OSError: ENOSYS on an architecture whose number for ioprio_set(2) is not known here.
    """
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    _syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_CLASS_IDLE << _IOPRIO_CLASS_SHIFT)


@cache
def _libc() -> "ctypes.CDLL":
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _capability_header() -> "ctypes.Array[ctypes.c_uint32]":
    import ctypes

    return (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)  # 0: the calling thread


def _mask_of(is_set: Callable[[int], int]) -> int:
    mask = 0
    for number in range(_MOST_CAPABILITIES):
        try:
            mask |= is_set(number) << number
        except OSError as error:
            if error.errno != errno.EINVAL:  # the kernel knows no more of them
                raise
            break
    return mask


def _prctl(option: int, *arguments: int) -> int:
    import ctypes

    # The kernel refuses some options unless the arguments that they do not use are 0.
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(_libc().prctl(option, *(ctypes.c_ulong(value) for value in padded)))


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    import ctypes

    words = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    return _checked(_libc().syscall(ctypes.c_long(number), *words))


def _checked(result: int) -> int:
    if result < 0:
        import ctypes

        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
