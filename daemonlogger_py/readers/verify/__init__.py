"""``dlctl verify``: whether savefiles are whole, and what the catalog and the index say of them.

``verdict``   one savefile, or one catalog: what was found, as text and as JSON
``looking``   what is to be looked at: savefiles and catalogs, in order, on all processors
``checking``  walks, hashes and compares; changes nothing
``rebuild``   makes catalogs anew from the savefiles
``surveyed``  what rebuild found, out of memory
``repair``    keeps whole records of damaged savefiles
``remains``   removes what killed repairs, and repaired savefiles, leave behind

`run` does what a VerifyConfig asks for.
"""

from daemonlogger_py.config.archive import VerifyConfig


def run(config: VerifyConfig) -> int:
    """Verify, rebuild or repair, print what was found and return the exit status.

    0: all is whole, as it should be, or is now; 1: something is not. Raises UsageError and
    OutputError.
    """
    # Imported one by one: what is not asked for costs no time.
    if config.rebuild:
        from daemonlogger_py.readers.verify.rebuild import rebuild

        return rebuild(config)
    if config.repair:
        from daemonlogger_py.readers.verify.repair import repair

        return repair(config)
    from daemonlogger_py.readers.verify.checking import check

    return check(config)
