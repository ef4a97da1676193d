"""Extensions by media type."""

import re
import subprocess
import sys

import pytest

from daemonlogger_py.readers.streams.extensions import extension, extensions

# As tcpflow 1.6.1 names them.
TCPFLOW = """\
text/html=html text/plain=txt text/css=css text/csv=csv image/jpeg=jpg image/png=png image/gif=gif
image/bmp=bmp image/svg+xml=svg image/webp=webp image/x-icon=ico application/json=json
application/javascript=js application/xml=xml application/xhtml+xml=xhtml application/pdf=pdf
application/zip=zip application/msword=doc application/x-shockwave-flash=swf
application/x-font-woff=woff audio/mpeg=mpga audio/ogg=ogg video/mp4=m4v video/mpeg=mpg
video/webm=webm video/quicktime=mov video/x-flv=flv
image/tiff=tiff audio/mp4=mp4a audio/x-aiff=aiff application/pgp-signature=asc
application/onenote=onetoc text/cache-manifest=manifest
application/mac-binhex40=hqx application/vnd.lotus-1-2-3=123 chemical/x-cml=cml text/x-fortran=f
application/vnd.nokia.n-gage.symbian.install=n-gage video/vnd.mpegurl=m4u
x-conference/x-cooltalk=ice
"""


@pytest.mark.parametrize("pair", TCPFLOW.split())
def test_types_that_tcpflow_knows(pair):
    content_type, _, expected = pair.partition("=")
    assert extension(content_type.encode()) == f".{expected}"


def test_parameters_case_and_blanks_do_not_matter():
    assert extension(b" Text/HTML ; charset=utf-8") == ".html"


@pytest.mark.parametrize("content_type", [b"", b"application/octet-stream", b"a/../../b", b"\xff/"])
def test_types_without_an_extension(content_type):
    assert extension(content_type) == ""


def test_extensions_are_plain():
    assert all(re.fullmatch("[a-z0-9][a-z0-9_-]*", value) for value in extensions().values())
    assert all(key == key.lower() and key.count(b"/") == 1 for key in extensions())


def test_the_table_is_read_once_a_type_is_looked_up():
    code = (
        "import sys; from daemonlogger_py.readers.streams.extensions import extension as e;"
        "m = 'daemonlogger_py.readers.streams.media_types';"
        "print(m in sys.modules, e(b'image/tiff'), m in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["False", ".tiff", "True"]
