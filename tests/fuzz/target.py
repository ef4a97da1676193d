"""What must be true of every savefile, however damaged or hostile: the function that is fuzzed.

`one_input` drives the native readers with one input and raises AssertionError when a property is
violated. Memory errors below are AddressSanitizer's to find, where `run` has built the code with
it; the properties hold in any build.
"""

import re
from collections.abc import Sequence

from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.savefile.pcapng import time_resolution
from daemonlogger_py.savefile.records import parse_file_header, walk
from daemonlogger_py.savefile.salvage import salvage

from .model import (
    FILE_HEADER_BYTES,
    REWRITTEN_BY_LIBPCAP,
    Classic,
    Record,
    as_recorded,
    filter_model,
    read_classic,
)
from .recording import (
    LONGEST_IN_PIPE_BYTES,
    Recording,
    full_pipe,
    input_file,
    record,
    record_late,
)
from .trial import Trial

OFFSET = re.compile(r" is damaged at byte offset (\d+): ")


def one_input(data: bytes) -> None:
    """Hold everything that must be true of the input `data`."""
    trial = Trial.of(data)
    classic = read_classic(trial.savefile)
    assert time_resolution(trial.savefile) in ("us", "ns")
    check_walk(trial.savefile, classic)
    check_salvage(trial.savefile)
    with input_file(trial.savefile) as fd:
        recording = record(trial, fd)
    if recording is None:
        return
    check_recording(trial, classic, recording)
    piped = record_from_pipe(trial, classic)
    if piped is not None:
        check_recording(trial, classic, piped)
        if not (trial.finish_at or trial.refilter_at):
            assert piped == recording, "a pipe gives other packets than a file"


def check_walk(savefile: bytes, classic: Classic | None) -> None:
    """Any file can be walked; of a classic one, every record up to the first damage is counted."""
    with input_file(savefile) as fd:
        found = walk(fd)
    assert found.size_bytes == len(savefile)
    assert 0 <= found.end_offset <= len(savefile)
    if classic is None:
        assert found.packets == found.end_offset == 0
        assert found.damage is not None
        return
    records = before_zeros(classic.records)
    assert found.packets == len(records)
    damaged = not classic.whole or len(records) < len(classic.records)
    assert (found.damage is not None) is damaged, found
    if len(records) == len(classic.records):
        # Zeros of an unfinished header, too, end the walk here.
        assert found.end_offset == classic.end_offset
    if records:
        assert found.first_ns == records[0].stamp_ns(nanosecond=classic.nanosecond)
        assert found.last_ns == records[-1].stamp_ns(nanosecond=classic.nanosecond)
        times_ns = [record.stamp_ns(nanosecond=classic.nanosecond) for record in records]
        assert (found.earliest_ns, found.latest_ns) == (min(times_ns), max(times_ns))
        assert found.ordered is (times_ns == sorted(times_ns))


def check_salvage(savefile: bytes) -> None:
    """What is salvaged of any file is whole; of a whole one it is all of it."""
    with input_file(savefile) as fd:
        found = salvage(fd)
        walked = walk(fd)
    header = parse_file_header(savefile[:FILE_HEADER_BYTES])
    assert (found is None) is (header is None or header.modified or header.refused)
    if found is None:
        return
    end = FILE_HEADER_BYTES
    for one in found.ranges:
        assert end <= one.begin < one.end <= len(savefile)
        end = one.end
        with input_file(savefile[:FILE_HEADER_BYTES] + savefile[one.begin : one.end]) as fd:
            alone = walk(fd)
        assert (alone.damage, alone.packets) == (None, one.packets)
    if walked.damage is None:
        assert sum(one.packets for one in found.ranges) == walked.packets
        assert len(found.ranges) == (walked.packets > 0)


def before_zeros(records: list[Record]) -> list[Record]:
    """Records in front of the first that is all zeros, which a walk takes for damage."""
    return next((records[:at] for at, record in enumerate(records) if record.zero), records)


def record_from_pipe(trial: Trial, classic: Classic | None) -> Recording | None:
    """Record the same from a pipe, if the trial says so and the savefile can be had that way."""
    if trial.source == "chunks" and len(trial.savefile) <= LONGEST_IN_PIPE_BYTES:
        with full_pipe(trial.savefile, trial.chunk_bytes) as fd:
            return record(trial, fd)
    # Others wait inside libpcap for the rest of a record, which here would wait for itself.
    if trial.source == "late" and classic is not None and is_native(classic):
        return record_late(trial)
    return None


def is_native(classic: Classic) -> bool:
    """Whether the source reads it itself, without libpcap."""
    return classic.native and classic.version == (2, 4)


def check_recording(trial: Trial, classic: Classic | None, recording: Recording) -> None:
    """Hold a recording against its input."""
    written = read_classic(recording.savefile)
    assert written is not None
    assert written.native
    assert written.whole
    assert written.nanosecond is recording.nanosecond
    assert len(written.records) == recording.packets
    # pcapng has a section header at least, and no packet takes less than in the classic format.
    assert len(recording.savefile) <= len(trial.savefile)
    if trial.snaplen:
        assert all(record.caplen <= trial.snaplen for record in written.records)
    check_walk(recording.savefile, written)
    if classic is not None and classic.version == (2, 4):
        check_against_model(trial, classic, recording, written.records)


def check_against_model(
    trial: Trial, classic: Classic, recording: Recording, records: list[Record]
) -> None:
    """Hold a recording against what the model says about a classic savefile."""
    passes = None if trial.refilter_at else filter_model(trial.filter, classic.linktype)
    rewritten = not is_native(classic) and classic.linktype in REWRITTEN_BY_LIBPCAP
    got = comparable(records, rewritten=rewritten)
    wanted = comparable(
        as_recorded(classic, nanosecond=trial.nanosecond, snaplen=trial.snaplen, passes=passes),
        rewritten=rewritten,
    )
    if trial.finish_at:
        assert recording.reason is Stop.END or not classic.whole, recording.failure
        assert passes is None or got == wanted[: len(got)]
    else:
        assert recording.reason is (Stop.END if classic.whole else Stop.DAMAGED), recording.failure
        assert passes is None or got == wanted
    assert is_subsequence(got, wanted)
    if recording.reason is Stop.DAMAGED:
        offset = OFFSET.search(recording.failure or "")
        assert offset is not None
        assert int(offset[1]) == classic.end_offset
    if is_native(classic) and not (trial.finish_at or trial.refilter_at or trial.filter):
        check_verbatim(trial, classic, recording)


def comparable(records: list[Record], *, rewritten: bool) -> Sequence[object]:
    """Records, or what of them libpcap leaves as it is in a file of other byte order."""
    if rewritten:
        return [(record.seconds, record.fraction, record.caplen) for record in records]
    return records


def is_subsequence(some: Sequence[object], of: Sequence[object]) -> bool:
    """Whether all of `some` are in `of`, in the same order."""
    rest = iter(of)
    return all(item in rest for item in some)


def check_verbatim(trial: Trial, classic: Classic, recording: Recording) -> None:
    """Without cutting and rescaling, the bytes themselves are passed on."""
    rescaled = trial.nanosecond and not classic.nanosecond
    longest = max((record.caplen for record in classic.records), default=0)
    if not (trial.snaplen or rescaled or longest > classic.snapshot):
        whole = trial.savefile[FILE_HEADER_BYTES : classic.end_offset]
        assert recording.records == whole
