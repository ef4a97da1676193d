class OfflineHandle:
    name: str
    linktype: int
    snaplen: int
    nanosecond: bool
    file_header: bytes
    def __init__(
        self,
        fd: int,
        *,
        name: str,
        wake_fd: int,
        filter_text: str = "",
        snaplen: int = 0,
        nanosecond: bool = False,
    ) -> None: ...
    def refilter(self, text: str) -> None: ...
