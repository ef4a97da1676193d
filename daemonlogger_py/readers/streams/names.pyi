from collections.abc import Sequence

ACCEPTED: str
TOKENS: dict[str, tuple[int, int, bool]]
PREFIXES: dict[str, str]

class Template:
    def __init__(self, template: str, prefixes: str = "", always_count: bool = False) -> None: ...
    @property
    def text(self) -> str: ...
    def name(
        self,
        source: str,
        source_port: int,
        destination: str,
        destination_port: int,
        *,
        count: int = 0,
        number: int = 0,
        session: int = 0,
        first_ns: int = 0,
        vlans: Sequence[int] = (),
        macs: tuple[str, str] | None = None,
    ) -> str: ...
