"""Filters as pcap-filter(7) has them, for hypothesis: every kind of primitive, combined in any way.

Not each of them can be compiled for each linktype, and libpcap refuses those that can match
nothing: `FilterError` is an answer a test has to expect, and the same one for every reader. What
some of them match for some linktypes is left to chance: `fuzz.deciding.is_determinate`.
"""

from collections.abc import Sequence
from ipaddress import ip_network

from hypothesis import strategies as st

ADDRESSES = (
    "10.0.0.1",
    "10.0.0.2",
    "192.0.2.1",
    "192.0.2.200",
    "255.255.255.255",
    "2001:db8::1",
    "2001:db8::2",
    "fe80::1",
    "::1",
)
PORTS = (0, 53, 80, 443, 1024, 33000, 65535)
TAGS = (0, 1, 42, 100, 4095)
MAC_ADDRESSES = ("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", "00:00:00:00:00:00")

DIRECTIONS = ("", "src ", "dst ", "src or dst ", "src and dst ")
PROTOCOLS = (
    "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "pim", "esp", "ah",
    "stp", "iso", "ipx", "pppoed",
)  # fmt: skip
CASTS = ("ip multicast", "ip6 multicast", "ether multicast", "ether broadcast", "ip broadcast")
# What is behind them is looked for where it then is.
ENCAPSULATIONS = ("vlan", "mpls", "pppoes")
RELATIONS = ("=", "!=", "<", "<=", ">", ">=")
LAYERS = ("ether", "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "sctp", "arp", "link")
NAMED_FIELDS = (
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn",
    "tcp[tcpflags] & tcp-rst != 0",
    "tcp[13] & 4 != 0",
    "icmp[icmptype] = icmp-echo",
    "icmp6[icmp6type] = icmp6-neighborsolicit",
    "ip[6:2] & 0x1fff != 0",
    "ip[6] & 0x20 != 0",
    "ip[0] & 0xf > 5",
    "ip6[6] = 44",
    "ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) > 0",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
)


def filter_texts(
    addresses: Sequence[str] = ADDRESSES,
    ports: Sequence[int] = PORTS,
    tags: Sequence[int] = TAGS,
    max_leaves: int = 6,
) -> st.SearchStrategy[str]:
    """Filters of up to `max_leaves` primitives; what is compared with comes from the sequences.

    `addresses` are of IPv4 and IPv6, `tags` numbers of VLANs and labels of MPLS. Give those that
    a capture has, and filters match some of its packets and not others.
    """
    leaf = primitives(addresses, ports, tags)
    text = st.recursive(
        leaf,
        lambda inner: st.one_of(
            inner.map(negated),
            st.builds(combined, inner, st.sampled_from(("and", "or")), inner),
            st.builds(combined, encapsulations(tags), st.just("and"), inner),
        ),
        max_leaves=max_leaves,
    )
    # Nowhere else: beside "or", what libpcap compiles of it is not determinate.
    return text | st.builds(combined, st.just("geneve"), st.just("and"), text)


def negated(text: str) -> str:
    """What does not match `text`."""
    return f"not {parenthesised(text)}"


def combined(left: str, word: str, right: str) -> str:
    """Two filters with "and" or "or" between them."""
    return f"{parenthesised(left)} {word} {parenthesised(right)}"


def parenthesised(text: str) -> str:
    """Keep together what belongs together."""
    return f"({text})" if " and " in text or " or " in text else text


def primitives(
    addresses: Sequence[str], ports: Sequence[int], tags: Sequence[int]
) -> st.SearchStrategy[str]:
    """Expressions without "and", "or" and "not"."""
    return st.one_of(
        hosts(addresses),
        networks(addresses),
        port_tests(ports),
        protocols(),
        encapsulations(tags),
        link_tests(),
        lengths(),
        byte_tests(),
        st.sampled_from(NAMED_FIELDS),
    )


def hosts(addresses: Sequence[str]) -> st.SearchStrategy[str]:
    """One address, on either end or one."""
    return st.builds("{}host {}".format, st.sampled_from(DIRECTIONS), st.sampled_from(addresses))


def networks(addresses: Sequence[str]) -> st.SearchStrategy[str]:
    """What shares the first bits of an address; libpcap wants the rest of them to be 0."""

    def network(direction: str, address: str, share: float) -> str:
        family = 6 if ":" in address else 4
        count = round(share * (128 if family == 6 else 32))
        return f"{direction}net {masked(address, count)}/{count}"

    return st.builds(
        network,
        st.sampled_from(DIRECTIONS),
        st.sampled_from(addresses),
        st.sampled_from((0.0, 0.25, 0.5, 0.75, 0.875, 1.0)),
    )


def masked(address: str, count: int) -> str:
    """The address with only its first bits."""
    return str(ip_network(f"{address}/{count}", strict=False).network_address)


def port_tests(ports: Sequence[int]) -> st.SearchStrategy[str]:
    """One port, or a range of them, of one transport or any."""

    def span(ends: tuple[int, int]) -> str:
        return f"portrange {min(ends)}-{max(ends)}"

    one = st.sampled_from(ports)
    return st.builds(
        "{}{}{}".format,
        st.sampled_from(("", "tcp ", "udp ", "sctp ")),
        st.sampled_from(DIRECTIONS),
        one.map("port {}".format) | st.tuples(one, one).map(span),
    )


def protocols() -> st.SearchStrategy[str]:
    """A protocol by its name or number."""
    number = st.sampled_from((0, 1, 4, 6, 17, 41, 44, 47, 50, 58, 132, 255)) | st.integers(0, 255)
    return st.one_of(
        st.sampled_from(PROTOCOLS),
        st.builds("{} proto {}".format, st.sampled_from(("ip", "ip6")), number),
        st.sampled_from((0x0800, 0x0806, 0x86DD, 0x8100, 0x8847, 0x8864, 0x88CC, 1000)).map(
            "ether proto {}".format
        ),
        st.sampled_from(("ip protochain 6", "ip6 protochain 6", "ip6 protochain 17")),
    )


def encapsulations(tags: Sequence[int]) -> st.SearchStrategy[str]:
    """A tag, label or tunnel, behind which the rest of the filter then looks."""
    return st.one_of(
        st.sampled_from(ENCAPSULATIONS),
        st.builds("{} {}".format, st.sampled_from(("vlan", "mpls")), st.sampled_from(tags)),
        st.builds("vlan {} and vlan {}".format, st.sampled_from(tags), st.sampled_from(tags)),
    )


def link_tests() -> st.SearchStrategy[str]:
    """What is at the link layer."""
    return st.one_of(
        st.sampled_from(CASTS),
        st.builds(
            "ether {} {}".format,
            st.sampled_from(("src", "dst", "host")),
            st.sampled_from(MAC_ADDRESSES),
        ),
    )


def lengths() -> st.SearchStrategy[str]:
    """How long a packet was."""
    count = st.sampled_from((0, 60, 64, 100, 1000, 1514)) | st.integers(0, 70_000)
    return st.one_of(
        st.builds("{} {}".format, st.sampled_from(("less", "greater")), count),
        st.builds("len {} {}".format, st.sampled_from(RELATIONS), count),
    )


def byte_tests() -> st.SearchStrategy[str]:
    """Any bytes of a layer, some arithmetic, and a comparison."""
    small = st.sampled_from((0, 1, 2, 4, 0x0F, 0x40, 0xFF, 0x1FFF, 0xFFFFFFFF)) | st.integers(
        0, 300
    )
    place = st.builds(
        "{}[{}:{}]".format,
        st.sampled_from(LAYERS),
        st.integers(0, 60),
        st.sampled_from((1, 2, 4)),
    )
    shift = st.integers(0, 31)
    term = st.one_of(
        place,
        st.builds("{} & {}".format, place, small),
        st.builds("({} | {})".format, place, small),
        st.builds("({} ^ {})".format, place, small),
        st.builds("({} {} {})".format, place, st.sampled_from(("+", "-", "*")), small),
        st.builds("({} {} {})".format, place, st.sampled_from(("/", "%")), st.integers(1, 300)),
        st.builds("({} {} {})".format, place, st.sampled_from(("<<", ">>")), shift),
        st.builds("({} {} {})".format, place, st.sampled_from(("+", "-", "&", "|")), place),
    )
    return st.builds("{} {} {}".format, term, st.sampled_from(RELATIONS), small | term)
