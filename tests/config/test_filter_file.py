"""What is left of a filter file, and which files are none."""

import os
import threading

import pytest

from daemonlogger_py.config.filter_file import MAX_BYTES, read_filter_file
from daemonlogger_py.errors import UsageError


@pytest.fixture
def filter_path(tmp_path):
    return str(tmp_path / "filter.bpf")


def write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"tcp port 80", "tcp port 80"),
        (b"tcp\n", "tcp"),
        (b"# web\r\ntcp port 80 # not https\r\n\r\nor udp\r\n", "tcp port 80 or udp"),
        (b"\n\n  \t\nicmp\n# end", "icmp"),
        (b"\xef\xbb\xbfudp\n", "udp"),
        ("# Büro \u2028 host x\nip".encode(), "ip"),
        (b"# \xff\xfe latin\narp", "arp"),
        (b"# form feed \x0c is no line end\nip6", "ip6"),
        (b"host 1.2.3.4\nand\nnot port 22", "host 1.2.3.4 and not port 22"),
    ],
)
def test_reads_and_cleans(filter_path: str, content: bytes, text: str) -> None:
    write(filter_path, content)
    assert read_filter_file(filter_path) == text


@pytest.mark.parametrize("content", [b"", b"\n\r\n", b"# only a comment", b"  # a\n\t\n#b\r\n"])
def test_no_filter_is_an_error(filter_path: str, content: bytes) -> None:
    write(filter_path, content)
    with pytest.raises(UsageError, match="holds no filter"):
        read_filter_file(filter_path)


def test_missing(filter_path: str) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        read_filter_file(filter_path)


def test_directory(tmp_path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        read_filter_file(str(tmp_path))


def test_binary(filter_path: str) -> None:
    write(filter_path, b"tcp\0port 80")
    with pytest.raises(UsageError, match="NUL"):
        read_filter_file(filter_path)


def test_endless() -> None:
    with pytest.raises(UsageError, match=f"larger than {MAX_BYTES}"):
        read_filter_file("/dev/zero")


def test_pipe(filter_path: str) -> None:
    os.mkfifo(filter_path)
    writer = threading.Thread(target=write, args=(filter_path, b"udp # from a pipe\n"))
    writer.start()
    assert read_filter_file(filter_path) == "udp"
    writer.join()


def test_pipe_that_nobody_writes_is_not_waited_for_again(filter_path: str) -> None:
    os.mkfifo(filter_path)
    with pytest.raises(UsageError, match="holds no filter"):
        read_filter_file(filter_path, wait=False)
    writer = os.open(filter_path, os.O_RDWR)
    with pytest.raises(UsageError, match="holds no filter"):
        read_filter_file(filter_path, wait=False)
    os.close(writer)


def test_largest(filter_path: str) -> None:
    write(filter_path, b"#" * (MAX_BYTES - 4) + b"\nudp")
    assert read_filter_file(filter_path) == "udp"


def test_leaves_no_descriptor_open(filter_path: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for content in (b"tcp", b"", b"\0"):
        write(filter_path, content)
        try:
            read_filter_file(filter_path)
        except UsageError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before
