import pypi_simple
import pytest
import requests

from segany.weights import PackageSource
from segany.weights._http import SourceError
from segany.weights._index import IndexSettings, find_package, parse_pip_configuration, read_pip_configuration


class TestPipConfiguration:
    def test_nothing_configured(self) -> None:
        assert parse_pip_configuration("") == IndexSettings(urls=(pypi_simple.PYPI_SIMPLE_ENDPOINT,))

    def test_the_environment_wins_over_the_command_and_that_over_the_global_section(self) -> None:
        lines = [
            ":env:.index-url='https://environment.example/simple'",
            "download.index-url='https://command.example/simple'",
            "global.index-url='https://global.example/simple'",
        ]
        for first, host in enumerate(("environment", "command", "global")):
            settings = parse_pip_configuration("\n".join(lines[first:]))
            assert settings.urls == (f"https://{host}.example/simple",)

    def test_further_indexes_come_after_the_first_and_local_folders_are_left_out(self) -> None:
        listing = (
            "global.extra-index-url='\\nhttps://one.example/simple file:///srv/simple\\nhttps://two.example/simple'"
        )
        settings = parse_pip_configuration(listing)
        assert settings.urls == (
            pypi_simple.PYPI_SIMPLE_ENDPOINT,
            "https://one.example/simple",
            "https://two.example/simple",
        )

    def test_certificates_and_proxy(self) -> None:
        settings = parse_pip_configuration("global.cert='/etc/ca.pem'\nglobal.proxy=\"http://proxy.example:3128\"")
        assert (settings.certificates, settings.proxy) == ("/etc/ca.pem", "http://proxy.example:3128")

    @pytest.mark.parametrize("value", ["1", "true", "yes", "on"])
    def test_no_index(self, value: str) -> None:
        settings = parse_pip_configuration(f"global.no-index='{value}'")
        source = PackageSource("demo", "1.0", "demo-1.0.tar.gz", "0" * 64, "m")
        with requests.Session() as session, pytest.raises(SourceError, match=r"^pip is configured to use no index$"):
            find_package(session, settings, source)

    def test_other_lines_do_not_matter(self) -> None:
        listing = "WARNING: something\nglobal.timeout='60'\ninstall.no-deps=true"
        assert parse_pip_configuration(listing) == IndexSettings()

    def test_pip_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_INDEX_URL", "https://environment.example/simple")
        monkeypatch.setenv("PIP_NO_INDEX", "0")
        read_pip_configuration.cache_clear()
        try:
            assert read_pip_configuration().urls[0] == "https://environment.example/simple"
        finally:
            read_pip_configuration.cache_clear()
