class Filter:
    text: str

def libpcap_version() -> str: ...
