"""Reading from the network: whole files, and the parts of a remote file that are needed."""

import io
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

__all__ = ["RangeFile", "SourceError", "chunks", "length", "network_errors", "new_session"]

# To connect, and between two pieces of an answer.
TIMEOUT_SECONDS = (10.0, 60.0)
CHUNK_BYTES = 1 << 18


class SourceError(Exception):
    """One source did not give the file; says why in a few words, without an address."""


def new_session() -> requests.Session:
    """Make a session that repeats a request when a server is briefly unwell."""
    session = requests.Session()
    # A compressed answer would have another length than the file.
    session.headers["Accept-Encoding"] = "identity"
    retry = Retry(total=2, connect=1, backoff_factor=0.2, status_forcelist=(429, 502, 503, 504), raise_on_status=False)
    for prefix in ("https://", "http://"):
        session.mount(prefix, HTTPAdapter(max_retries=retry))
    return session


@contextmanager
def network_errors() -> Iterator[None]:
    """Turn what `requests` raises into `SourceError`.

    The text of the original is dropped on purpose: it holds the address, and with it the password of a private index.
    """
    try:
        yield
    except requests.HTTPError as error:
        status = "an error" if error.response is None else f"HTTP {error.response.status_code}"
        raise SourceError(f"the server answered {status}") from None
    except requests.exceptions.SSLError:
        raise SourceError("the server's certificate is not trusted") from None
    except requests.Timeout:
        raise SourceError("the server did not answer in time") from None
    except requests.exceptions.ChunkedEncodingError:
        raise SourceError("the download was cut short") from None
    except requests.ConnectionError:
        raise SourceError("no connection") from None
    except requests.RequestException as error:
        raise SourceError(f"the request failed ({type(error).__name__})") from None


def chunks(session: requests.Session, url: str, *, size: int | None, limit: int) -> Generator[bytes]:
    """Read a remote file from its beginning.

    Args:
        session: Carries the certificates and the login.
        url: Where it is.
        size: The length that it must have, in bytes; None if unknown.
        limit: The most that is read, in bytes, if the length is unknown.

    Yields:
        Its bytes, in pieces, never more than `size` or `limit` in all.

    Raises:
        SourceError: The server did not give the whole file, or gave more.
    """
    done, most = 0, limit if size is None else size
    with network_errors(), session.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
        response.raise_for_status()
        for chunk in response.iter_content(CHUNK_BYTES):
            done += len(chunk)
            if done > most:
                raise SourceError(f"the file is longer than the {most:,} bytes expected")
            yield chunk
    if size is not None and done < size:
        raise SourceError(f"the download was cut short: {done:,} of {size:,} bytes")


def length(session: requests.Session, url: str) -> int | None:
    """Ask for the length of a remote file, in bytes; None if the server does not say.

    Raises:
        SourceError: The server cannot be reached.
    """
    with network_errors():
        response = session.head(url, allow_redirects=True, timeout=TIMEOUT_SECONDS)
    text = response.headers.get("Content-Length", "") if response.ok else ""
    return int(text) if text.isdecimal() else None


class RangeFile(io.RawIOBase):
    """A remote file of known length, read in blocks as they are needed.

    It lets `zipfile` take one small member out of a large archive without downloading the rest.
    """

    def __init__(
        self,
        session: requests.Session,
        url: str,
        size: int,
        *,
        block_bytes: int,
    ) -> None:
        """Point at the file; nothing is read yet.

        Args:
            session: Carries the certificates and the login.
            url: Where it is.
            size: Its length in bytes.
            block_bytes: How much one request reads.
        """
        super().__init__()
        self._session = session
        self._url = url
        self._size = size
        self._block_bytes = block_bytes
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that any part can be read."""
        return True

    def tell(self) -> int:
        """Give the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position of the next read; as for any file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, to the end if negative.

        Raises:
            SourceError: The server did not give that part.
        """
        end = self._size if size < 0 else min(self._size, self._position + size)
        parts = []
        while self._position < end:
            index, start = divmod(self._position, self._block_bytes)
            part = self._block(index)[start : start + end - self._position]
            parts.append(part)
            self._position += len(part)
        return b"".join(parts)

    def _block(self, index: int) -> bytes:
        if index not in self._blocks:
            self._blocks[index] = self._fetch(index)
            if len(self._blocks) > 4:
                self._blocks.popitem(last=False)
        return self._blocks[index]

    def _fetch(self, index: int) -> bytes:
        first = index * self._block_bytes
        last = min(first + self._block_bytes, self._size) - 1
        headers = {"Range": f"bytes={first}-{last}"}
        with (
            network_errors(),
            self._session.get(self._url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response,
        ):
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                raise SourceError("the server gives no parts of files")
            data = b"".join(response.iter_content(CHUNK_BYTES))
        if len(data) != last - first + 1:
            raise SourceError("the server gave another part than the one asked for")
        return data
