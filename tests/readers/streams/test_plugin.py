"""The Python function: its text, and that whatever it does costs its result only."""

import os
import textwrap

import pytest

from daemonlogger_py.config.streams import Plugin
from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.streams import plugin
from daemonlogger_py.readers.streams.facts import PluginResult
from daemonlogger_py.readers.streams.plugin import PluginHost, check

SOURCE = '''
import os, signal, sys, time

def length(stream):
    assert type(stream) is bytes
    return f"{len(stream)} bytes: \\u00e4<&>"

def nothing(stream):
    pass

def number(stream):
    return 7

def raises(stream):
    raise ValueError("no \\udcff good")

def exits(stream):
    sys.exit(3)

def dies(stream):
    os.kill(os.getpid(), signal.SIGSEGV)

def odd(stream):
    """Does what the stream says."""
    return globals()[stream.decode()](stream)

def endless(stream):
    while True:
        pass

def deaf(stream):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)

def talks(stream):
    return "\\u00e4" * 3_000_000

def prints(stream):
    print("printed by the plug-in")
    print(sys.stdin.read(), end="")
    return "done"

def descriptors(stream):
    return " ".join(sorted(os.listdir("/proc/self/fd"), key=int))

def forks(stream):
    pid = os.fork()
    if not pid and stream == b"raises":
        os.execv("/no/such/program", ["x"])
    if not pid and stream == b"exits":
        sys.exit(3)
    if not pid:
        return "of the child"
    return f"{stream} {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}"

class Holder:
    @staticmethod
    def method(stream):
        return "method"

not_a_function = 5
'''


@pytest.fixture
def module(tmp_path):
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / "sample_plugin_of_tests.py").write_text(textwrap.dedent(SOURCE))
    return str(directory)


@pytest.fixture
def host(tmp_path, module):
    """Make a host of a function; and the file of a stream for it."""
    out = tmp_path / "out"
    out.mkdir()
    fd = os.open(out, os.O_RDONLY)
    hosts = []

    def make(function, timeout_s=30.0):
        made = PluginHost(Plugin(module, "sample_plugin_of_tests", function, timeout_s), fd)
        hosts.append(made)

        def call(stream=b"some bytes", name="stream"):
            (out / name).write_bytes(stream)
            return made.call(name)

        return call

    yield make
    for made in hosts:
        made.close()
        made.close()
    os.close(fd)


def test_text(host):
    call = host("length")
    assert call(b"abc") == PluginResult("3 bytes: ä<&>")
    assert call(bytes(5 << 20)) == PluginResult("5242880 bytes: ä<&>")


def test_nothing(host):
    assert host("nothing")() == PluginResult(None)


def test_attribute_of_a_class(host):
    assert host("Holder.method")() == PluginResult("method")


def test_other_types_are_told(host):
    assert host("number")() == PluginResult(None, "it returned int; accepted: str or None")


def test_what_goes_wrong_costs_one_result(host):
    call = host("odd")
    assert call(b"length").text
    assert "ValueError: no" in call(b"raises").problem
    assert call(b"exits").problem == "SystemExit: 3"
    assert call(b"dies").problem == "its process was ended by SIGSEGV"
    assert call(b"no_such").problem == "KeyError: 'no_such'"
    assert call(b"length").text


def test_only_the_process_itself_answers(host, capfd):
    call = host("forks")
    assert call(b"returns") == PluginResult("b'returns' 1")
    assert call(b"raises") == PluginResult("b'raises' 1")
    assert call(b"exits") == PluginResult("b'exits' 3")
    assert call(b"again") == PluginResult("b'again' 1")
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("-e python: in a process that the plug-in forked: FileNotFoundError")


@pytest.mark.parametrize("function", ["endless", "deaf"])
def test_what_does_not_end_is_ended(host, function):
    call = host("odd", timeout_s=2)
    assert call(function.encode()).problem == "it did not end within 2 s"
    assert call(b"length").text


def test_text_is_limited(host):
    result = host("talks")()
    assert result.problem == "its text is cut at 1048576 bytes"
    assert result.text == "ä" * (1 << 19)


def test_stream_is_limited(host, monkeypatch):
    monkeypatch.setattr(plugin, "MOST_STREAM_BYTES", 10)
    assert "more than 10 bytes" in host("length")(b"x" * 11).problem


def test_output_is_not_ours(host, capfd):
    assert host("prints")() == PluginResult("done")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == "printed by the plug-in\n"


def test_nothing_else_is_open(host):
    # Its two pipes, the output directory, and the listing itself.
    assert len(host("descriptors")().text.split()) == 3 + 4


def test_stream_that_is_gone(host, tmp_path):
    call = host("length")
    call()
    (tmp_path / "out" / "link").symlink_to("/etc/passwd")
    with pytest.raises(FileNotFoundError):
        os.unlink(tmp_path / "out" / "gone")
    outdir_fd = os.open(tmp_path / "out", os.O_RDONLY)
    made = PluginHost(
        Plugin(str(tmp_path / "plugins"), "sample_plugin_of_tests", "length"), outdir_fd
    )
    assert "FileNotFoundError" in made.call("gone").problem
    assert "OSError" in made.call("link").problem
    made.close()
    os.close(outdir_fd)


def test_check(module):
    check(Plugin(module, "sample_plugin_of_tests", "length"))


@pytest.mark.parametrize(
    ("name", "function", "problem"),
    [
        ("no_such_module_of_tests", "f", "No module named"),
        ("sample_plugin_of_tests", "no_such", "no attribute 'no_such'"),
        ("sample_plugin_of_tests", "not_a_function", "is no function"),
    ],
)
def test_check_refuses(module, name, function, problem):
    with pytest.raises(UsageError, match=f"-e python: .*{problem}"):
        check(Plugin(module, name, function))


@pytest.mark.parametrize("then", ["", "if not pid: raise ValueError"])
def test_only_the_process_itself_says_that_the_module_is_there(tmp_path, then):
    path = tmp_path / "forks_of_tests.py"
    path.write_text(
        "import os\npid = os.fork()\n"
        f"{then}\n"
        "status = os.waitpid(pid, 0)[1] if pid else None\n"
        "def f(stream): return str(os.waitstatus_to_exitcode(status))\n"
    )
    (tmp_path / "stream").touch()
    outdir_fd = os.open(tmp_path, os.O_RDONLY)
    made = PluginHost(Plugin(str(tmp_path), "forks_of_tests", "f"), outdir_fd)
    assert [made.call("stream") for _ in range(3)] == [PluginResult("1")] * 3
    made.close()
    os.close(outdir_fd)


def test_module_that_ends_the_process(tmp_path):
    (tmp_path / "ends_of_tests.py").write_text("import os; os._exit(4)")
    with pytest.raises(UsageError, match="its process ended with status 4"):
        check(Plugin(str(tmp_path), "ends_of_tests", "f"))
