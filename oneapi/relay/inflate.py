"""Takes a vendor's compressed answer apart as it comes."""

import zlib
from collections.abc import Callable, Iterator

from oneapi.wire import VendorError

Inflate = Callable[[Iterator[bytes]], Iterator[bytes]]


def inflating(encoding: str, most: int) -> Inflate:
    """We ask for no compression; some vendors compress all the same. At most `most` bytes come out, whatever goes in."""
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise VendorError("garbled", f"the vendor's answer is compressed in a way we did not ask for ({encoding[:20]})")

    def pieces(source: Iterator[bytes]) -> Iterator[bytes]:
        decoder = None
        total = 0
        try:
            for data in source:
                if decoder is None:  # "deflate" is zlib's format by the standard, and bare deflate by bad custom
                    bare = encoding == "deflate" and not (data[0] & 15 == 8 and data[0] >> 4 < 8)
                    decoder = zlib.decompressobj(-15 if bare else 47)
                while data:
                    piece = decoder.decompress(data, 65536)
                    total += len(piece)
                    if total > most:
                        raise VendorError("garbled", "the vendor's answer is too large")
                    if piece:
                        yield piece
                    data = decoder.unconsumed_tail
        except zlib.error as error:
            raise VendorError("garbled", "the vendor's compressed answer cannot be read") from error

    return pieces
