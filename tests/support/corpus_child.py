"""A worker without a fabric: ``python -I -S corpus_child.py FOLDER...`` runs calls that come on standard input.

The folders go onto its path; the tests' own code is in none of them. A request is the body of a function and the payload of a call, an
answer one byte (``v`` or ``e``) and the payload of the result or the text of the error; each part has four bytes of length before it.
"""

import sys

sys.path[:0] = sys.argv[1:]

from funcx_core.serialize import pack_value, unpack_call, unpack_function  # noqa: E402


def read():
    size = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(int.from_bytes(size, "big")) if size else None


def run(body, payload):
    try:
        args, kwargs = unpack_call(payload)
        return b"v", pack_value(unpack_function(body)(*args, **kwargs))
    except Exception as error:
        return b"e", f"{type(error).__name__}: {error}".encode()


while (body := read()) is not None:
    kind, answer = run(body, read())
    sys.stdout.buffer.write(kind + len(answer).to_bytes(4, "big") + answer)
    sys.stdout.buffer.flush()
