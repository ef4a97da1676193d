MAGIC: int
OTHER_ORDER: str

class Filter:
    text: str
    @property
    def code(self) -> bytes: ...

def compile_for(linktype: int, snaplen: int, text: str, *, swapped: bool = False) -> Filter: ...
def libpcap_version() -> str: ...
