"""The package index: the one that pip is configured for, asked through `pypi-simple`."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote, urlsplit

import pypi_simple
import requests
from requests.auth import AuthBase, HTTPBasicAuth

from segany.weights._http import TIMEOUT_SECONDS, SourceError, length, network_errors
from segany.weights._registry import PackageSource

__all__ = ["IndexSettings", "Remote", "find_package", "parse_pip_configuration", "read_pip_configuration"]


@dataclass(frozen=True)
class IndexSettings:
    """Where packages are published, as pip is configured.

    Attributes:
        urls: Addresses of simple indexes, tried in order; may hold a login.
        certificates: File of trusted certificates, or None for the default.
        proxy: Address of a proxy, or None for the environment's.
    """

    urls: tuple[str, ...] = (pypi_simple.PYPI_SIMPLE_ENDPOINT,)
    certificates: str | None = None
    proxy: str | None = None


@dataclass(frozen=True)
class Remote:
    """A file that an index offers.

    Attributes:
        url: Its address.
        size: Its length in bytes, or None if neither the index nor the server says.
    """

    url: str
    size: int | None


@cache
def read_pip_configuration() -> IndexSettings:
    """Ask pip for its configuration, files and environment together; the defaults if there is no pip."""
    commands = [[sys.executable, "-m", "pip"]]
    if pip := shutil.which("pip"):
        commands.append([pip])
    for command in commands:
        done = subprocess.run([*command, "config", "list"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return parse_pip_configuration(done.stdout)
    return IndexSettings()


def parse_pip_configuration(listing: str) -> IndexSettings:
    """Read what `pip config list` prints.

    Args:
        listing: Lines such as `global.index-url='https://...'`.
    """
    values: dict[str, str] = {}
    for line in listing.splitlines():
        key, separator, value = line.partition("=")
        if separator and value[:1] in "'\"":
            values[key] = str(ast.literal_eval(value))
    if _value(values, "no-index") in ("1", "true", "yes", "on"):
        return IndexSettings(urls=())
    urls = [_value(values, "index-url") or pypi_simple.PYPI_SIMPLE_ENDPOINT]
    urls += (_value(values, "extra-index-url") or "").split()
    return IndexSettings(
        # An index in a local folder is none that can be asked over HTTP.
        urls=tuple(url for url in urls if url.startswith(("https://", "http://"))),
        certificates=_value(values, "cert"),
        proxy=_value(values, "proxy"),
    )


def _value(values: Mapping[str, str], option: str) -> str | None:
    # pip's own order: the environment, then the command's section, then the global one.
    for section in (":env:", "download", "global"):
        if value := values.get(f"{section}.{option}"):
            return value
    return None


def find_package(session: requests.Session, settings: IndexSettings, source: PackageSource) -> Remote:
    """Find the file of a source on the first index that has it.

    Args:
        session: What to ask with; it is given the certificates, the proxy and the login that the file needs too.
        settings: Which indexes there are.
        source: What to look for.

    Raises:
        SourceError: No index offers that exact file with the pinned digest.
    """
    if settings.certificates:
        session.verify = settings.certificates
    if settings.proxy:
        session.proxies = {"http": settings.proxy, "https": settings.proxy}
    reason = "pip is configured to use no index"
    for url in settings.urls:
        try:
            return _find(session, url, source)
        except SourceError as error:
            reason = str(error)
    raise SourceError(reason)


def _find(session: requests.Session, index_url: str, source: PackageSource) -> Remote:
    endpoint, session.auth = _split_login(index_url)
    client = pypi_simple.PyPISimple(endpoint, session=session)
    with network_errors():
        try:
            page = client.get_project_page(source.project, timeout=TIMEOUT_SECONDS)
        except pypi_simple.NoSuchProjectError:
            raise SourceError("the index has no such project") from None
        except (pypi_simple.UnsupportedContentTypeError, pypi_simple.UnsupportedRepoVersionError, ValueError):
            raise SourceError("the index gave an answer that cannot be read") from None
    for package in page.packages:
        if package.filename != source.file:
            continue
        if package.digests.get("sha256", source.sha256) != source.sha256:
            raise SourceError(f"the index offers another {source.file} than the one pinned")
        size = length(session, package.url) if package.size is None else package.size
        return Remote(package.url, size)
    raise SourceError(f"the index has no {source.file}")


def _split_login(url: str) -> tuple[str, AuthBase | None]:
    """Take the login out of an address, so that it goes to that host only and into no message."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, None
    host = parts.netloc.rpartition("@")[2]
    login = HTTPBasicAuth(unquote(parts.username), unquote(parts.password or ""))
    return parts._replace(netloc=host).geturl(), _HostLogin(host, login)


class _HostLogin(AuthBase):
    """A login sent to one host: an index may keep its files on another, which must not see it."""

    def __init__(self, host: str, login: HTTPBasicAuth) -> None:
        self._host = host
        self._login = login

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if urlsplit(request.url or "").netloc == self._host:
            self._login(request)
        return request
