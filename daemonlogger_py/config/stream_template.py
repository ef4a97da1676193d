"""How stream files may be named: -T's template and -F's letters, as tcpflow(1) has them.

Judges the text alone; names are made from it by `readers.streams.names`.
"""

TOKENS = (
    ("%A %a", "source address and port; an IPv4 address with three digits a byte"),
    ("%B %b", "destination address and port"),
    ("%E %e", "source and destination MAC address"),
    ("%V %v", "-- and the VLAN identifier, if there is one"),
    ("%T %t", "time of the first packet: ISO 8601, seconds since 1970"),
    ("%C %c", "the letter c and how many earlier files have the name, if there is one"),
    ("%#", "how many earlier files have the name, 0 too"),
    ("%N %K %M %G", "the stream's number: its units, thousands, millions, billions, modulo 1000"),
    ("%S", "number of the connection, which both directions share"),
    ("%%", "a percent sign"),
)
LETTERS = (
    ("c", "append the connection counter to all names"),
    ("t", "put the time before the name, in seconds since 1970"),
    ("T", "put the time before the name, as ISO 8601"),
    ("X", "write no stream files"),
    ("M", "put the MD5 of each stream into the report"),
    ("k", "bin streams into directories of 1000"),
    ("m", "the same with two levels, for a million"),
    ("g", "the same with three levels"),
)
FORMAT_LETTERS = "".join(letter for letter, _ in LETTERS)
BIN_LETTERS = "tTkmg"
_TOKEN_LETTERS = "AaBbEeVvTtCc#NKMGS%"  # noqa: S105
MAX_TEMPLATE_BYTES = 1024


def parse_format(text: str) -> str:
    """Accept letters of -F; there must be one."""
    unknown = [letter for letter in text if letter not in FORMAT_LETTERS]
    if unknown or not text:
        raise ValueError(
            f"{text[:80]!r} is not accepted; accepted: letters of {FORMAT_LETTERS}, see -hh"
        )
    return text


def parse_template(text: str) -> str:
    """Accept a template that makes names, and none outside the output directory."""
    accepted = f"text and {' '.join(tokens for tokens, _ in TOKENS)}"
    at = text.find("%")
    while at >= 0:
        if text[at + 1 : at + 2] not in tuple(_TOKEN_LETTERS):
            raise _refusal(text, f"{accepted}; {text[at : at + 2]!r} is none of them")
        at = text.find("%", at + 2)
    if not text.isprintable() or len(text.encode()) > MAX_TEMPLATE_BYTES:
        raise _refusal(text, f"printable text of at most {MAX_TEMPLATE_BYTES} bytes")
    if not text or text.startswith("/") or ".." in text.split("/"):
        raise _refusal(text, "a path inside the output directory, without '..'")
    return text


def _refusal(text: str, accepted: str) -> ValueError:
    return ValueError(f"{text[:80]!r} is not accepted; accepted: {accepted}")
