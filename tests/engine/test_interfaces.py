"""Which interfaces there are, by a kernel and a libpcap that the test makes up, and by the real."""

from types import SimpleNamespace

import psutil
import pytest

from daemonlogger_py.engine import interfaces
from daemonlogger_py.errors import UsageError

KERNEL = {
    "lo": SimpleNamespace(flags="up,loopback,running", mtu=65536),
    "wan0": SimpleNamespace(flags="broadcast,multicast", mtu=1500),
    "lan0": SimpleNamespace(flags="up,broadcast,running", mtu=9000),
    "lan1": SimpleNamespace(flags="up,broadcast,running", mtu=1500),
}
ADDRESSES = {
    "lan0": [SimpleNamespace(address="192.0.2.1"), SimpleNamespace(address="fe80::1%lan0")]
}


@pytest.fixture
def machine(monkeypatch) -> SimpleNamespace:
    made = SimpleNamespace(
        kernel=dict(KERNEL), libpcap=["wan0", "lan1", "lan0", "any", "lo", "usb1"]
    )

    def if_nametoindex(name: str) -> int:
        if name not in [*made.kernel, "uplink"]:  # an alternative name, which no list shows
            raise OSError
        return 1

    monkeypatch.setattr(psutil, "net_if_stats", lambda: made.kernel)
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: ADDRESSES)
    monkeypatch.setattr(interfaces.socket, "if_nameindex", lambda: list(enumerate(made.kernel, 1)))
    monkeypatch.setattr(interfaces.socket, "if_nametoindex", if_nametoindex)
    monkeypatch.setattr(interfaces, "_libpcap_devices", lambda: made.libpcap)
    return made


def test_names(machine) -> None:
    assert interfaces.names() == ["lo", "wan0", "lan0", "lan1", "any"]


@pytest.mark.parametrize("name", ["lo", "lan0", "any", "uplink", "usb1"])
def test_require_accepts(machine, name: str) -> None:
    interfaces.require(name)


def test_require_does_not_ask_libpcap_for_what_the_kernel_knows(machine, monkeypatch) -> None:
    def not_asked() -> list[str]:
        raise AssertionError

    monkeypatch.setattr(interfaces, "_libpcap_devices", not_asked)
    interfaces.require("lan0")
    interfaces.require("any")


def test_require_lists_what_there_is(machine) -> None:
    with pytest.raises(UsageError, match=r"'nosuch0': .*; accepted: lo, wan0, lan0, lan1, any$"):
        interfaces.require("nosuch0")


def test_default_is_libpcaps_first_that_is_up_and_not_loopback(machine) -> None:
    assert interfaces.default() == "lan1"


def test_no_default(machine) -> None:
    del machine.kernel["lan0"], machine.kernel["lan1"]
    with pytest.raises(UsageError, match=r"no interface is up but loopback; .*: lo, wan0, any$"):
        interfaces.default()


def test_table(machine) -> None:
    machine.libpcap.remove("wan0")
    assert [line.split() for line in interfaces.table().splitlines()] == [
        ["name", "state", "mtu", "addresses"],
        ["lan1", "up", "1500", "-"],
        ["lan0", "up", "9000", "192.0.2.1", "fe80::1"],
        ["any", "-", "-", "-"],
        ["lo", "up", "65536", "(loopback)"],
        ["usb1", "-", "-", "-"],
        ["wan0", "down", "1500", "-"],
    ]


def test_this_machine() -> None:
    assert "lo" in interfaces.names()
    interfaces.require("lo")
    assert any(line.startswith("lo ") for line in interfaces.table().splitlines())
    with pytest.raises(UsageError, match="'nosuch0'"):
        interfaces.require("nosuch0")


def test_interfaces_that_are_built_on_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {
        "br0": ["address", "lower_eth0", "lower_eth1.5"],
        "eth1.5": ["lower_eth1", "upper_br0"],
        "eth0": ["upper_br0"],
        "eth1": ["upper_eth1.5"],
        "odd": ["lower_even"],
        "even": ["lower_odd"],
    }

    def listdir(path: str) -> list[str]:
        if path.rpartition("/")[2] not in shown:
            raise FileNotFoundError(path)
        return shown[path.rpartition("/")[2]]

    monkeypatch.setattr(interfaces.os, "listdir", listdir)

    for one, other in (("br0", "eth0"), ("eth0", "br0"), ("br0", "eth1"), ("eth1", "eth1.5")):
        assert interfaces.stacked(one, other)
    for one, other in (("eth0", "eth1"), ("eth0", "eth1.5"), ("eth0", "gone"), ("gone", "eth0")):
        assert not interfaces.stacked(one, other)
    assert interfaces.stacked("odd", "even")
