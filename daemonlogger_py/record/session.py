"""Puts a recording together from its configuration, says what it will do, and takes it apart.

The order is what matters here: what may be refused comes before the first message and before
anything is created; what needs privileges before they are given up; threads, after that.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.errors import DaemonloggerError
from daemonlogger_py.record import surroundings
from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.messages import Messages, Tell
from daemonlogger_py.record.openfile import Sealed
from daemonlogger_py.record.opening import LogDir, Opened, opened
from daemonlogger_py.record.preamble import foretell, introduce, pinned, say_source
from daemonlogger_py.record.recorder import Recorder
from daemonlogger_py.record.signals import Signals
from daemonlogger_py.record.writer import Writer

if TYPE_CHECKING:
    from daemonlogger_py.record.chronicle import Chronicle
    from daemonlogger_py.record.nowriter import NoWriter
    from daemonlogger_py.record.surroundings import Surroundings
    from daemonlogger_py.record.vitals import Vitals
    from daemonlogger_py.record.watch import InterfaceWatch

# What an ending recording gives the walk over an old savefile.
RECOVERY_END_S = 5.0


def run(config: RecorderConfig) -> int:
    """Record as configured, until it is done or a signal says so; returns the exit status.

    Raises UsageError before anything was created; SourceError and StorageError also later, after
    what was received is in its savefiles and the totals have been told.
    """
    with ExitStack() as stack:
        around = stack.enter_context(surroundings.begun(config))
        messages = surroundings.messages(config)
        stack.callback(messages.close)
        stack.enter_context(_failures_told(config, messages))
        signals = Signals()
        stack.callback(signals.close)
        # INT, TERM and QUIT simply end it until there is something to record, also while a pipe
        # says nothing.
        stack.enter_context(signals.early())
        ready = stack.enter_context(
            opened(config, signals.wake_fd, messages.tell, around.identity, around.say_now)
        )
        introduce(ready, messages.tell)
        _heed_pins(ready, messages.tell)
        around.confine(ready, messages.tell)
        # Before the first thread, as it is a fork of this process.
        chronicle = _chronicle(ready, messages)
        stack.enter_context(signals)
        messages.release()
        around.watch(messages.tell)
        # While what is reported then can still be told.
        stack.callback(around.settle, messages.tell)
        say_source(ready, messages.tell)
        _record(ready, around, signals, messages.tell, chronicle)
    return 0


def check(config: RecorderConfig) -> int:
    """Open everything, say what a recording would do and prune right now, and do nothing.

    Raises what `run` raises at its start.
    """
    with ExitStack() as stack:
        identity = surroundings.identity_of(config)
        surroundings.try_hook(config, identity)
        config = replace(config, wait_interface=False)  # it is there, or that is what is wrong
        messages = Messages(fd=1, log_format=config.log_format)
        stack.callback(messages.close)
        signals = Signals()
        stack.callback(signals.close)
        ready = stack.enter_context(
            opened(config, signals.wake_fd, messages.tell, identity, lambda _: None)
        )
        introduce(ready, messages.tell)
        foretell(ready, messages.tell)
    return 0


@contextmanager
def _failures_told(config: RecorderConfig, messages: Messages) -> Iterator[None]:
    """Where nobody reads the command's plain line, the failure that ends it is a message too."""
    try:
        yield
    except DaemonloggerError as error:
        if config.log_format == "json" or config.daemon:
            messages.tell("error", str(error), exit_status=error.exit_status)
            error.told = not config.daemon  # its caller reads the plain line
        raise


def _heed_pins(ready: Opened, tell: Tell) -> None:
    """Keep what is pinned by now where no catalog's process will tell; its file is in reach yet."""
    if not ready.config.cataloged and ready.log_dir is not None:
        keeper = ready.log_dir.keeper
        if keeper is not None:
            keeper.heed(pinned(ready.config, tell))


def _chronicle(ready: Opened, messages: Messages) -> "Chronicle | None":
    if not ready.config.cataloged or ready.log_dir is None:
        return None
    from daemonlogger_py.record.chronicle import begun, may_grow_bytes

    chronicle = begun(ready, messages.tell)
    if chronicle is not None:
        messages.listen(chronicle.hear)
        if ready.log_dir.keeper is not None:
            ready.log_dir.keeper.keep_pinned(chronicle)
            ready.log_dir.keeper.on_archived(chronicle.archived)
            ready.log_dir.keeper.share_volume(partial(may_grow_bytes, ready))
    return chronicle


def _record(
    ready: Opened,
    around: "Surroundings",
    signals: Signals,
    tell: Tell,
    chronicle: "Chronicle | None",
) -> None:
    config, source = ready.config, ready.source
    # A savefile waits for the disk: a few buffers keep both busy, more would only leave the cache.
    pool = BufferPool(source.record_bytes, config.buffer_memory if source.live else 0)
    with ExitStack() as stack:
        vitals = _vitals(ready, around, pool, chronicle)
        on_sealed = _told_of_sealed(around.on_sealed(ready), chronicle)
        writer = _writer(ready, pool, signals, tell, vitals, on_sealed)
        watch = _watch(ready, tell, stack)
        if vitals is not None:
            vitals.of(writer, watch)
        recorder = Recorder(
            config,
            source,
            pool,
            writer,
            signals,
            tell,
            newest_epoch=ready.log_dir.newest_epoch() if ready.log_dir is not None else 0,
            watch=watch,
            taps=ready.taps,
            vitals=vitals,
        )
        if ready.log_dir is not None:
            stack.enter_context(_recovery(ready.log_dir, tell, chronicle))
        if chronicle is not None:
            stack.enter_context(_chronicled(chronicle, recorder, signals))
        recorder.run()


@contextmanager
def _chronicled(chronicle: "Chronicle", recorder: Recorder, signals: Signals) -> Iterator[None]:
    """End the catalog's process when the recording has ended, and have it write why."""
    why = None
    try:
        yield
    except BaseException as error:  # whatever it is, the catalog is told
        why = str(error) or type(error).__name__
        raise
    finally:
        if why is None and signals.finish is not None:
            why = signals.finish.name
        chronicle.close(why, recorder.totals().lost)


def _told_of_sealed(
    announce: Callable[[Sealed], None] | None, chronicle: "Chronicle | None"
) -> Callable[[Sealed], None] | None:
    if chronicle is None or announce is None:
        return announce if chronicle is None else chronicle.sealed

    def both(sealed: Sealed) -> None:
        chronicle.sealed(sealed)
        announce(sealed)

    return both


def _vitals(
    ready: Opened, around: "Surroundings", pool: BufferPool, chronicle: "Chronicle | None"
) -> "Vitals | None":
    asked = around.metrics, around.notifier, around.detached, chronicle
    if asked == (None, None, None, None):
        return None  # nobody asks
    from daemonlogger_py.record.vitals import Vitals

    return Vitals(ready, around, pool, chronicle)


def _writer(
    ready: Opened,
    pool: BufferPool,
    signals: Signals,
    tell: Tell,
    vitals: "Vitals | None",
    on_sealed: Callable[[Sealed], None] | None,
) -> "Writer | NoWriter":
    log_dir = ready.log_dir
    if log_dir is None:
        from daemonlogger_py.record.nowriter import NoWriter

        return NoWriter(pool)
    return Writer(
        log_dir.fd,
        log_dir.shown,
        log_dir.naming,
        ready.source.file_header,
        pool,
        log_dir.keeper,
        tell,
        signals.wake,
        may_grow_bytes=ready.config.roll_size,
        direct=ready.config.direct,
        on_sealed=on_sealed,
        on_written=None if vitals is None else vitals.on_written,
    )


def _watch(ready: Opened, tell: Tell, stack: ExitStack) -> "InterfaceWatch | None":
    if ready.interface is None:
        return None
    from daemonlogger_py.record.watch import InterfaceWatch

    watch = InterfaceWatch(ready.interface, tell)
    stack.callback(watch.close)
    return watch


@contextmanager
def _recovery(log_dir: LogDir, tell: Tell, chronicle: "Chronicle | None") -> Iterator[None]:
    """Repair the last savefiles beside the recording: it may take seconds."""
    from daemonlogger_py.record.recovery import recover_all

    ending = threading.Event()

    def recover() -> None:
        recover_all(log_dir.fd, log_dir.newest, log_dir.shown, tell, ending)
        if chronicle is not None:
            chronicle.recovery_done()

    thread = threading.Thread(target=recover, name="recovery", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        tell("recovery_failed", f"[!] Cannot look for unfinished savefiles: {error}")
        yield
        return
    try:
        yield
    finally:
        ending.set()
        thread.join(RECOVERY_END_S)
