"""The text of a BPF filter file.

Reads and cleans; whether the result compiles is libpcap's to say. The recorder calls it again on
SIGHUP, so it may fail at any time and then leaves nothing behind.
"""

import os

from daemonlogger_py.errors import UsageError

# libpcap's own programs stop at 4096 instructions; a file past this is the wrong file, and
# /dev/zero would otherwise fill the memory.
MAX_BYTES = 1 << 20


def read_filter_file(path: str, *, wait: bool = True) -> str:
    """Return the filter in the file `path`, on one line, without comments (# to the line's end).

    A pipe is waited for unless `wait` is false. Raises UsageError when the file is missing,
    unreadable, too large, not text, or holds no filter once comments and blank lines are gone.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags if wait else flags | os.O_NONBLOCK)

    try:
        with open(path, "rb", opener=opener) as file:
            raw = file.read(MAX_BYTES + 1) or b""
    except OSError as error:
        raise UsageError(f"filter file {path!r}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise UsageError(f"filter file {path!r}: larger than {MAX_BYTES} bytes")
    if b"\0" in raw:
        raise UsageError(f"filter file {path!r}: not text, it holds a NUL byte")
    # A comment may be in any encoding; the filter itself is passed on byte for byte.
    text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    # Not splitlines(): it also ends a line, and so a comment, at a form feed or U+2028.
    words = [word for line in text.split("\n") for word in line.partition("#")[0].split()]
    if not words:
        raise UsageError(f"filter file {path!r}: holds no filter (comments and blank lines aside)")
    return " ".join(words)
