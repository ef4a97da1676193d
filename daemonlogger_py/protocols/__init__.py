"""What flows carry: ordered bytes of a connection in, messages out. No files, clock or logging.

`http` has the messages of HTTP/1.x; `http_head` and `http_chunked` are its two uses of llhttp,
`http_plain` reads the heads that need none (native), `http_coding` undoes content codings, `gaps`
answers where bytes of a stream are lost. Parsers are well-kept libraries wherever there is one.
"""
