"""The last lines: nothing when nothing is missing, and a line for each thing that is."""

import pytest

from daemonlogger_py.config.streams import Console, StreamsConfig
from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.streams import ending
from daemonlogger_py.readers.streams.aftermath import Aftermath
from daemonlogger_py.readers.streams.sinks import Sinks
from daemonlogger_py.readers.streams.teller import Teller
from tests.flow.segments import ETHERNET, Side, cut, records, timed

CLIENT = Side()
CONFIG = StreamsConfig(store=False, report=None)


class NotStopping:
    requested = False


def lines(frames, config=CONFIG, poor_bodies=0, unread_streams=0, **engine_options):
    sinks = Sinks(config, None)
    engine = Engine(sinks.sink, **engine_options)
    engine.feed(records(frames if isinstance(frames[0], tuple) else timed(frames)), ETHERNET)
    engine.finish()
    aftermath = Aftermath(config, None, None, Teller(config), NotStopping())
    aftermath.poor_bodies = poor_bodies
    aftermath.unread_streams = unread_streams
    told = []
    ending.Ending(config, engine, sinks, aftermath).tell(told.append)
    return told


def test_nothing_is_said_of_a_run_that_lacks_nothing():
    assert lines([CLIENT.syn(), CLIENT.sends(0, b"abc"), CLIENT.fin(3)]) == []


def test_missing_bytes():
    frames = [CLIENT.syn(), CLIENT.sends(2, b"c"), Side(port=1).syn()]

    assert lines(frames) == [
        "2 bytes are missing in 1 of 2 streams; --gaps lists them in the report"
    ]
    assert lines(frames, CONFIG._replace(gaps=True)) == ["2 bytes are missing in 1 of 2 streams"]


def test_totals_have_what_was_odd():
    def totals(frames):
        sinks = Sinks(CONFIG, None)
        engine = Engine(sinks.sink)
        engine.feed(records(timed(frames)), ETHERNET)
        aftermath = Aftermath(CONFIG, None, None, Teller(CONFIG), NotStopping())
        return list(ending.Ending(CONFIG, engine, sinks, aftermath).totals())

    plain = ["Total flows processed: 1", "Total packets processed: 1"]
    assert totals([CLIENT.syn()]) == plain
    assert totals([CLIENT.syn(), CLIENT.syn()[:-1], b"frame"]) == [
        *plain,
        "Odd packets: CUT_LINK_HEADER 1, IP_LENGTH_BEYOND_FRAME 1, CUT_TRANSPORT_HEADER 1",
    ]


def test_limits():
    (line,) = lines([Side(port=port).syn() for port in range(1, 5)], max_flows=2)

    assert line.startswith("2 flows were closed early for --max-flows or --memory")


@pytest.mark.parametrize("captured", [10, 30, 50])  # within Ethernet's, IP's and TCP's
def test_packets_cut_within_their_headers(captured):
    record = 10**18, CLIENT.sends(0, b"abc")

    (line,) = lines([cut(record, captured)])
    assert line.startswith("1 packets end within their headers, cut by a short snapshot length")


def test_fragments_without_the_rest():
    (line,) = lines(CLIENT.fragmented(0, b"x" * 100, [24])[:1])

    assert line == "1 IP datagrams were not put together: fragments of them are missing"


def test_fragments_with_other_bytes():
    first, last = CLIENT.fragmented(0, b"x" * 100, [24])
    wrong = CLIENT.fragmented(0, b"y" * 100, [24])[1]

    (line,) = lines([last, wrong, first, last])

    assert line.startswith("1 IPv4 fragments contradicted others of their datagrams")


def test_fragments_that_overlapped():
    side = Side(address="2001:db8::1", peer_address="2001:db8::2")
    first, last = side.fragmented(0, b"x" * 100, [24])
    wrong = side.fragmented(0, b"y" * 100, [24])[1]

    assert lines([last, wrong, first]) == [
        "1 IPv6 datagrams were left out: fragments of them overlapped"
    ]


def test_bytes_before_the_first():
    (line,) = lines([CLIENT.syn(), CLIENT.sends(-5, b"abcdefg")])

    assert line == "5 bytes before the first of a stream were left out"


ORDERED = CONFIG._replace(console=Console(ordered=True))


def test_bytes_too_late_for_their_order():
    begun = [CLIENT.sends(10, b"behind"), CLIENT.sends(3, b"middle_"), CLIENT.sends(0, b"abc")]

    assert lines(begun, ORDERED) == ["10 bytes came too late to be printed in order"]
    assert lines(begun) == lines([CLIENT.syn(), *begun], ORDERED) == []


def test_bytes_too_late_for_a_gap_that_was_given_up():
    many = [CLIENT.sends(5 + 60_000 * number, b"x" * 60_000) for number in range(80)]

    passed_over, late = lines([CLIENT.syn(), *many, CLIENT.sends(0, b"early")], ORDERED)
    assert passed_over.startswith("5 bytes in 1 holes of the streams were not there")
    assert late == (
        "5 bytes came too late to be printed in order;"
        " 1 gaps were not waited for any longer: too much came behind"
    )


def test_holes_that_printing_in_order_closes_up(tmp_path):
    frames = [CLIENT.syn(), CLIENT.sends(2, b"c"), CLIENT.sends(5, b"f"), Side(port=1).syn()]
    line = "4 bytes in 2 holes of the streams were not there to be printed in order"

    assert lines(frames, ORDERED) == [f"{line}; --gaps prints where"]
    assert lines(frames, ORDERED._replace(gaps=True)) == [line]
    raw = ORDERED._replace(console=Console(ordered=True, raw=True))
    assert lines(frames, raw) == [line]
    # Once, where a report has them.
    reported = ORDERED._replace(report=str(tmp_path / "report.xml"))
    (line,) = lines(frames, reported)
    assert line.startswith("4 bytes are missing in 1 of 2 streams")


def test_bodies():
    (line,) = lines([CLIENT.syn()], poor_bodies=3)

    assert line.startswith("3 HTTP bodies are incomplete")


def test_streams_that_were_not_read_to_their_end():
    (line,) = lines([CLIENT.syn()], unread_streams=2)

    assert line.startswith("2 streams of HTTP were not read to their end")


def test_a_directory_that_grew_large(tmp_path, monkeypatch):
    monkeypatch.setattr(ending, "MANY_STREAMS", 1)
    monkeypatch.setattr(ending, "MANY_ENTRIES", 2)
    config = CONFIG._replace(outdir=str(tmp_path), store=True)
    frames = [Side(port=port).syn() for port in range(1, 4)]
    (tmp_path / "a").touch()
    assert lines(frames, config) == []
    (tmp_path / "b").touch()
    (line,) = lines(frames, config)

    assert line.startswith(f"{tmp_path} holds 2 entries")
    # Nor is anything said where it cannot be read.
    assert lines(frames, config._replace(outdir=str(tmp_path / "gone"))) == []
