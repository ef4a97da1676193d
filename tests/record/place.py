"""A savefile to read and a directory to record into, for whole recordings."""

import os
from pathlib import Path
from typing import Any

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.record import session

from ..pcaps import make
from .bench import packets_in

CAPTURES = make.captures()


class Place:
    """A savefile to read and a directory to record into."""

    def __init__(self, folder: Path) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.source = folder / "x.pcap"
        self.source.write_bytes(CAPTURES["us.pcap"])

    def config(self, **settings: Any) -> RecorderConfig:
        given = {"read": str(self.source), "log_dir": str(self.logs), "prefix": "t", **settings}
        return RecorderConfig(**given)

    def run(self, **settings: Any) -> int:
        return session.run(self.config(**settings))

    def names(self) -> list[str]:
        return sorted(os.listdir(self.logs))

    def packets(self) -> list[list[make.Packet]]:
        return [packets_in((self.logs / name).read_bytes()) for name in self.names()]
