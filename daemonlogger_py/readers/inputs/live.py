"""An interface as an input: opened with the rights one was started with, read without them."""

from daemonlogger_py.readers.inputs.capture import Input
from daemonlogger_py.readers.inputs.stopping import Stopping

SNAPLEN = 262144
"""Every packet is wanted whole, also those that the kernel has joined."""


def open_interface(
    name: str, stopping: Stopping, filter_text: str, *, promiscuous: bool = True
) -> Input:
    """Open the interface `name`, or if that is "" the first in libpcap's order that is up.

    Raises UsageError where there is none of that name, SourceError where it may not be opened (the
    message says which right is missing), FilterError.
    """
    from daemonlogger_py.engine import interfaces
    from daemonlogger_py.engine.live import LiveSource

    if name:
        interfaces.require(name)
    else:
        name = interfaces.default()
    source = LiveSource(
        name,
        wake_fd=stopping.wake_fd,
        filter_text=filter_text,
        snaplen=SNAPLEN,
        promiscuous=promiscuous,
    )
    return Input(f"interface {name}", source)
