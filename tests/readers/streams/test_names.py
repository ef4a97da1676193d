"""File names of streams: every token, prefixes, and templates that are refused."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.streams.names import ACCEPTED, PREFIXES, TOKENS, Template

DEFAULT = "%A.%a-%B.%b%V%v%C%c"
FIRST_NS = 1_700_000_000_123_456_789
ENDS = ("10.0.0.1", 40000, "10.0.0.2", 80)


def named(template: str, prefixes: str = "", **of: object) -> str:
    values: dict[str, object] = {"first_ns": FIRST_NS, "number": 1_234_567_890, "session": 77}
    return Template(template, prefixes).name(*ENDS, **{**values, **of})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("%A", "010.000.000.001"),
        ("%a", "40000"),
        ("%B", "010.000.000.002"),
        ("%b", "00080"),
        ("%E", "02:00:00:00:00:0a"),
        ("%e", "02:00:00:00:00:ff"),
        ("%T", "2023-11-14T22:13:20Z"),
        ("%t", "1700000000"),
        ("%#", "0"),
        ("%N", "890"),
        ("%K", "567"),
        ("%M", "234"),
        ("%G", "001"),
        ("%S", "00000000000000000077"),
        ("100%%", "100%"),
        ("x%C%c", "x"),
        ("x%V%v", "x"),
    ],
)
def test_token(template: str, expected: str) -> None:
    assert named(template, macs=("02:00:00:00:00:0a", "02:00:00:00:00:ff")) == expected


def test_every_token_is_tested() -> None:
    cases = test_token.pytestmark[0].args[1]  # type: ignore[attr-defined]
    tested = {token for template, _ in cases for token in re.findall("%(.)", template)}

    assert tested == {*TOKENS, "%"}
    assert ACCEPTED.split() == [f"%{token}" for token in [*TOKENS, "%"]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("10.0.0.1", "010.000.000.001.40000-192.168.001.104.00080"),
        ("2001:db8::1", "2001:db8::1.40000-2001:db8::1:0:0:2.00080"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4.40000-2001:db8::1:0:0:2.00080"),
        ("::", "::.40000-2001:db8::1:0:0:2.00080"),
    ],
)
def test_addresses_are_written_as_tcpflow_does(source: str, expected: str) -> None:
    other = "2001:db8:0:0:1::2" if ":" in source else "192.168.1.104"

    assert Template(DEFAULT).name(source, 40000, other, 80) == expected


@pytest.mark.parametrize(
    ("vlans", "expected"),
    [
        ((), "x"),
        ((42,), "x--42"),
        ((0xA02A,), "x--42"),  # priority bits are no part of the number
        ((100, 42), "x--100.42"),
        ((1, 2, 3, 4094), "x--1.2.3.4094"),
    ],
)
def test_vlans(vlans: tuple[int, ...], expected: str) -> None:
    assert named("x%V%v", vlans=vlans) == expected


def test_macs_that_the_link_does_not_have_are_zero() -> None:
    assert named("%E-%e") == "00:00:00:00:00:00-00:00:00:00:00:00"


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        ("t", "1700000000Tx"),
        ("T", "2023-11-14T22:13:20Zx"),
        ("k", "567/x"),
        ("m", "234000-234999/234567/x"),
        ("g", "001000000-001999999/001234000-001234999/001234567/x"),
        ("kt", "1700000000T567/x"),
        ("tk", "567/1700000000Tx"),
        ("mT", "2023-11-14T22:13:20Z234000-234999/234567/x"),
        ("tt", "1700000000T1700000000Tx"),
    ],
)
def test_prefixes_go_before_what_the_ones_left_of_them_made(prefixes: str, expected: str) -> None:
    assert named("x", prefixes) == expected


def test_first_thousand_streams_are_binned_as_tcpflow_does() -> None:
    assert named("x", "m", number=0) == "000000-000999/000000/x"
    assert named("x", "g", number=0) == "000000000-000999999/000000000-000000999/000000000/x"


def test_unknown_prefix_is_refused_with_those_accepted() -> None:
    with pytest.raises(UsageError, match=r"'Z'.*t T k m g"):
        Template(DEFAULT, "kZ")


@pytest.mark.parametrize(
    ("template", "names"),
    [
        (DEFAULT, ["010.000.000.001.40000-010.000.000.002.00080", "...c1", "...c12"]),
        ("const", ["const", "constc1", "constc12"]),
        ("const%c", ["const", "const1", "const12"]),
        ("x%#", ["x0", "x1c1", "x12c12"]),  # as tcpflow: only %c is the counter
        ("%c/x", ["x", "1/x", "12/x"]),
    ],
)
def test_counter(template: str, names: list[str]) -> None:
    names = [name.replace("...", names[0]) for name in names]

    assert [named(template, count=count) for count in (0, 1, 12)] == names


def test_counter_in_every_name() -> None:
    template = Template("x", always_count=True)

    assert [template.name(*ENDS, count=count) for count in (0, 1)] == ["xc0", "xc1"]
    assert Template("%c", always_count=True).name(*ENDS) == "0"


def test_text_is_the_whole_template() -> None:
    assert Template("%A", "tk").text == "%K/%tT%A%C%c"
    assert Template("%A%c").text == "%A%c"
    assert [PREFIXES[letter] + "%c" for letter in "t"] == [Template("%c", "t").text]


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("%q", "unknown token %q; accepted are %A %a"),
        ("x%", "% at the end"),
        ("x%%%", "% at the end"),
        ("/tmp/%A", "absolute"),
        ("/", "absolute"),
        ("../%A", "'..' leaves"),
        ("a/../../%A", "'..' leaves"),
        ("a/..%c", "'..' leaves"),
        ("..%v/%A", "'..' leaves"),
        ("%v.%V./%A", "'..' leaves"),
        ("", "could be ''"),
        ("a/", "could be ''"),
        ("%c", "could be ''"),
        ("%A/%v", "could be ''"),
        (".", r"could be '\.'"),
        (".%v/%A", r"could be '\.'"),
        ("a\0b", "NUL"),
        ("x" * 208, "up to 229 bytes; accepted are up to 207"),
        ("%A" * 5, "up to 246 bytes"),
        ("/".join(["d" * 180] * 12), "names of up to 2192 bytes; accepted are up to 2048"),
    ],
)
def test_refused(template: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Template(template)


def test_what_is_refused_is_shown_as_it_was_given() -> None:
    with pytest.raises(UsageError, match=r"^-T/--template '\.\./x': "):
        Template("../x", "k")


@pytest.mark.parametrize(
    ("template", "plain", "tagged"),
    [
        ("a//b", "a/b", "a/b"),
        ("./a/./b", "a/b", "a/b"),
        ("%v/x", "x", "42/x"),
        ("a/%v/%V/x", "a/x", "a/42/--/x"),
        ("...%v/x", ".../x", "...42/x"),
    ],
)
def test_empty_components_are_left_out(template: str, plain: str, tagged: str) -> None:
    assert named(template) == plain
    assert named(template, vlans=(42,)) == tagged


def test_bytes_of_a_template_that_are_no_text_are_kept() -> None:
    assert named("\udcff-%a") == "\udcff-40000"


addresses = st.one_of(
    st.tuples(*[st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)] * 2),
    st.tuples(*[st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)] * 2),
)


@given(
    letters=st.lists(st.sampled_from([*TOKENS, "/", "x", ".", ".."]), max_size=9),
    ends=addresses,
    ports=st.tuples(*[st.integers(0, 65535)] * 2),
    numbers=st.tuples(*[st.integers(0, 2**64 - 1)] * 4),
    vlans=st.lists(st.integers(0, 65535), max_size=4),
)
def test_no_packet_makes_a_name_that_leaves_the_directory(
    letters: list[str],
    ends: tuple[ipaddress.IPv4Address, ipaddress.IPv4Address],
    ports: tuple[int, int],
    numbers: tuple[int, int, int, int],
    vlans: list[int],
) -> None:
    text = "".join(f"%{letter}" if letter in TOKENS else letter for letter in letters)
    try:
        template = Template(text)
    except UsageError:
        return
    count, number, session, first_ns = numbers

    name = template.name(
        str(ends[0]), ports[0], str(ends[1]), ports[1],
        count=count, number=number, session=session, first_ns=first_ns, vlans=vlans,
    )  # fmt: skip

    assert re.fullmatch(r"[-0-9a-fA-FxcTZ:./]+", name)
    assert not {"", ".", ".."} & set(name.split("/"))
    assert max(map(len, name.split("/"))) <= 207
    assert len(name) <= 2048
