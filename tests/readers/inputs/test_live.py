"""Opening an interface as far as that can be seen without packets; those are the lab's."""

import pytest

from daemonlogger_py.engine import interfaces, live
from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.inputs.live import SNAPLEN, open_interface
from daemonlogger_py.readers.inputs.stopping import Stopping

from ...service.child import run


class Source:
    linktype, nanosecond, live, record_bytes, file_header = 1, False, True, 99, b""

    def __init__(self, name: str, **given: object) -> None:
        type(self).opened = (name, given)  # type: ignore[attr-defined]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("asked", "name"), [("eth7", "eth7"), ("", "chosen0")])
@pytest.mark.parametrize("promiscuous", [True, False])
def test_is_opened_as_asked(monkeypatch, asked: str, name: str, promiscuous: bool) -> None:
    monkeypatch.setattr(live, "LiveSource", Source)
    monkeypatch.setattr(interfaces, "require", lambda name: None)
    monkeypatch.setattr(interfaces, "default", lambda: "chosen0")
    with Stopping() as stopping:
        input_ = open_interface(asked, stopping, "tcp", promiscuous=promiscuous)
        given = {
            "wake_fd": stopping.wake_fd,
            "filter_text": "tcp",
            "snaplen": SNAPLEN,
            "promiscuous": promiscuous,
        }
        assert Source.opened == (name, given)  # type: ignore[attr-defined]
    assert (input_.name, input_.live) == (f"interface {name}", True)


def test_one_that_is_not_there() -> None:
    with Stopping() as stopping, pytest.raises(UsageError, match="'nosuch0': no such interface"):
        open_interface("nosuch0", stopping, "")


def test_without_the_right_to() -> None:
    code = """
    from daemonlogger_py.engine import interfaces, live
    from daemonlogger_py.readers.inputs.live import open_interface
    from daemonlogger_py.readers.inputs.stopping import Stopping
    become_ordinary()
    with Stopping() as stopping:
        report(said=outcome(open_interface, "lo", stopping, ""))
    """
    assert run(code)["said"] == (
        "interface lo: no permission to capture: CAP_NET_RAW is missing, which root has"
    )
