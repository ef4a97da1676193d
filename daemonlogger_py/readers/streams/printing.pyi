from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.outlet import Outlet

class Printing:
    def __init__(
        self,
        outlet: Outlet,
        template: Template,
        *,
        prefix: str = "",
        names: bool = True,
        raw: bool = False,
        hex: bool = False,  # noqa: A002
        colour: bool = False,
        newline: bool = True,
        json: bool = False,
        max_bytes: int | None = None,
    ) -> None: ...
