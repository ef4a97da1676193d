DIRECTIONS: dict[str, int]

class LiveHandle:
    interface: str
    warning: str | None
    linktype: int
    snaplen: int
    nanosecond: bool
    file_header: bytes
    def __init__(
        self,
        interface: str,
        *,
        filter_text: str = "",
        snaplen: int = 65535,
        promiscuous: bool = True,
        buffer_bytes: int = ...,
        tstamp_type: str | None = None,
        nanosecond: bool = False,
        direction: str = "inout",
        immediate: bool = False,
        flush: bool = False,
    ) -> None: ...
    @property
    def gone(self) -> bool: ...
    def refilter(self, text: str) -> None: ...
