"""Extensions by media type."""

import pytest

from daemonlogger_py.readers.streams.extensions import EXTENSIONS, extension

# As tcpflow 1.6.1 names them.
TCPFLOW = """\
text/html=html text/plain=txt text/css=css text/csv=csv image/jpeg=jpg image/png=png image/gif=gif
image/bmp=bmp image/svg+xml=svg image/webp=webp image/x-icon=ico application/json=json
application/javascript=js application/xml=xml application/xhtml+xml=xhtml application/pdf=pdf
application/zip=zip application/msword=doc application/x-shockwave-flash=swf
application/x-font-woff=woff audio/mpeg=mpga audio/ogg=ogg video/mp4=m4v video/mpeg=mpg
video/webm=webm video/quicktime=mov video/x-flv=flv
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
    assert all(value.isalnum() and value == value.lower() for value in EXTENSIONS.values())
    assert all(key == key.lower() and key.count(b"/") == 1 for key in EXTENSIONS)
