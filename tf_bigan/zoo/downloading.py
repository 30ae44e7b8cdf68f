"""Downloads files over HTTP, and trusts nothing that a server says about them."""

import hashlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request

from tf_bigan.errors import InputError

TIMEOUT = 20.0  # seconds
_LEAST = 1024  # bytes that must arrive within each TIMEOUT, so that a server cannot hold a reader with single bytes
_BLOCK = 1 << 16
_TRIES = 3


class Unreachable(InputError):
    """A server cannot be reached, or does not answer in time."""


class NotThere(InputError):
    """A server answers that it does not have a file."""


def fetch_text(address: str, limit: int) -> str:
    """The text at an address, of at most `limit` bytes.

    Raises:
      Unreachable, NotThere: as for `fetch_file`.
      InputError: the text is longer, or is not UTF-8.
    """
    data = b"".join(_received(address, limit))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{address} is no text") from None


def fetch_file(address: str, path, size: int, sha256: str, arrived=lambda count: None):
    """Downloads one file, in up to three tries, and checks it.

    Args:
      address: where it is: http or https.
      path: where it is written.
      size, sha256: the file's size in bytes and its SHA-256 in hexadecimal. No more than `size` bytes are read.
      arrived: function that is called with the number of bytes that have arrived, after each block.

    Raises:
      Unreachable: the connection fails, ends early or stalls in every try.
      NotThere: the server does not have the file.
      InputError: the file is another one than expected, or `path` cannot be written.
    """
    for attempt in range(_TRIES):
        try:
            found = _written(address, path, size, arrived)
        except Unreachable:
            if attempt == _TRIES - 1:
                raise
            continue
        if found != sha256:
            raise InputError(f"{address} is not the file that the zoo's index describes: its SHA-256 differs")
        return


def _written(address, path, size, arrived):
    """Writes the file at an address to `path`, and returns its SHA-256."""
    digest, count = hashlib.sha256(), 0
    with open(path, "wb") as file:
        for block in _received(address, size):
            file.write(block)
            digest.update(block)
            count += len(block)
            arrived(count)
    if count != size:
        raise Unreachable(f"{address} ended after {count:,} of {size:,} bytes")
    return digest.hexdigest()


def _received(address, limit):
    """Yields what is at an address in blocks. Raises InputError after more than `limit` bytes."""
    count, begun, arrived = 0, time.monotonic(), 0
    try:
        with urllib.request.urlopen(_quoted(address), timeout=TIMEOUT) as response:
            while block := response.read1(_BLOCK):
                count, arrived = count + len(block), arrived + len(block)
                if count > limit:
                    raise InputError(f"{address} has more than the expected {limit:,} bytes")
                now = time.monotonic()
                if now - begun > TIMEOUT:
                    if arrived < _LEAST:
                        raise TimeoutError
                    begun, arrived = now, 0
                yield block
    except InputError:
        raise
    except urllib.error.HTTPError as error:
        kind = NotThere if error.code in (403, 404, 410) else Unreachable
        raise kind(f"{address} cannot be had: the server answers {error.code} {error.reason}") from None
    except TimeoutError:
        raise Unreachable(f"{address} stalled: nothing or little arrived in {TIMEOUT:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            reason = f"no answer in {TIMEOUT:g} s"
        raise Unreachable(f"{address} cannot be reached: {str(reason) or type(error).__name__}") from None


def _quoted(address):
    """An address whose path may have spaces and other characters that an address must not have."""
    scheme, place, path, query, fragment = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit((scheme, place, urllib.parse.quote(path, safe="/%"), query, fragment))
