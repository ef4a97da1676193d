"""What makes the recorder a service that can be trusted with root for a second, then forgotten.

    privileges    whom to run as; everything else given up for good, with proof
    sandbox       which files the recorder may still touch (Landlock)
    linux         the kernel's calls under these two
    detach        into the background, while the caller waits for the verdict
    pidfile       one daemon a file
    syslog        messages to the local syslogd
    notify        systemd's protocol: ready, status, stopping, watchdog
    hooks         ``--on-roll``: hands sealed savefiles (``sealed``) to ...
    hook_runner   ... the process that runs the command for each ...
    hook_guard    ... and ends it, with all that it started, when its time is up
    metrics       serves figures to Prometheus; ``exposition`` is how they look on the wire
    wakeup        the pipe by which signals and other threads end a wait; readers have it too

Nothing here knows of packets: what is told, counted and handed over comes in as numbers and names.
The order of a start is the recorder's: whatever needs privilege is opened first, then they are
dropped, then the sandbox is entered, and only then is there a second thread.
"""
