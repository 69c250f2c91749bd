import pytest

from segany.errors import ConfigError, UnknownWeightsError
from segany.weights import PackageSource, UrlSource
from segany.weights._registry import load_registry, parse_registry

DIGEST = "0123456789abcdef" * 4
ENTRY = f"""
[demo]
kind = "model"
file_name = "demo.pt"
sha256 = "{DIGEST}"
size = 3
licence = "MIT"
licence_source = "package"
description = "made by a test"
"""
PACKAGE = f"""
[[demo.sources]]
project = "p"
version = "1.0"
file = "p-1.0.tar.gz"
sha256 = "{DIGEST}"
member = "p/m"
"""


class TestParsing:
    def test_reads_sources_in_order(self) -> None:
        text = ENTRY + PACKAGE + '[[demo.sources]]\nurl = "https://publisher.example/demo.pt"\n'
        (entry,) = parse_registry(text).entries
        assert entry.sources == (
            PackageSource("p", "1.0", "p-1.0.tar.gz", DIGEST, "p/m"),
            UrlSource("https://publisher.example/demo.pt"),
        )

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("size = 3", "size = 3\ncolour = 1", "demo: unknown key 'colour'; known are name, kind,"),
            ("size = 3", "", "demo: key 'size' is missing."),
            ("size = 3", "size = 0", "demo: size must be at least 1 byte, got 0."),
            ('"model"', '"modell"', "demo: kind must be one of model, sample,"),
            ('"package"', '"hearsay"', "demo: licence_source must be package or upstream, got 'hearsay'."),
            ('"demo.pt"', '"../demo.pt"', "demo: file_name must be a plain file name, got '../demo.pt'."),
            (DIGEST, DIGEST.upper(), "demo: sha256 must be 64 lower-case hexadecimal digits, got "),
            ("size = 3", 'size = 3\ncompanions = ["x"]', "demo: companion 'x' is no entry of the registry."),
            ("size = 3", 'size = 3\naliases = ["demo"]', "the registry has two entries named 'demo'."),
        ],
    )
    def test_refuses_a_bad_entry(self, old: str, new: str, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_registry(ENTRY.replace(old, new))
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('"p/m"', '"../m"', "demo: member must be a name inside the archive, got '../m'."),
            ('"p/m"', '"/m"', "demo: member must be a name inside the archive, got '/m'."),
            ("p-1.0.tar.gz", "p-1.0.rar", "a package file must end in .whl, .zip or .tar.gz, got 'p-1.0.rar'."),
            ('version = "1.0"', "", "demo: key 'version' is missing."),
            ('member = "p/m"', 'member = "p/m"\nbranch = "x"', "demo: unknown key 'branch'; known are project,"),
        ],
    )
    def test_refuses_a_bad_source(self, old: str, new: str, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_registry(ENTRY + PACKAGE.replace(old, new))
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize(
        "url",
        [
            "http://publisher.example/demo.pt",
            "file:///etc/passwd",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1:80@evil.example/",
        ],
    )
    def test_refuses_an_address_that_is_not_encrypted(self, url: str) -> None:
        with pytest.raises(ConfigError, match=r"^a publisher's address must start with https://, got "):
            UrlSource(url)

    def test_refuses_two_entries_with_one_file(self) -> None:
        with pytest.raises(ConfigError, match=r"^two entries of the registry share a file name\.$"):
            parse_registry(ENTRY + ENTRY.replace("[demo]", "[other]"))


class TestTheRegistry:
    def test_official_names_are_known(self) -> None:
        registry = load_registry()
        for alias, name in {
            "vit_t": "mobile_sam",
            "vit_b": "sam_vit_b",
            "sam_vit_l_0b3195": "sam_vit_l",
            "sam_vit_h": "sam_vit_h",
        }.items():
            assert registry.get(alias).name == name

    @pytest.mark.parametrize(
        ("asked", "hint"),
        [
            ("mobilesam", "did you mean mobile_sam"),
            ("SAM_VIT_B", "did you mean sam_vit_b"),
            ("cofee", "did you mean coffee?"),
            ("zzzzzz", "see: segany weights list."),
        ],
    )
    def test_an_unknown_name_gets_the_nearest(self, asked: str, hint: str) -> None:
        with pytest.raises(UnknownWeightsError) as caught:
            load_registry().get(asked)
        assert str(caught.value).startswith(f"no weights are named {asked!r}; {hint}")

    def test_every_model_says_what_reads_it(self) -> None:
        assert all(entry.architecture for entry in load_registry().entries if entry.kind == "model")

    def test_samples_are_free(self) -> None:
        licences = {entry.licence for entry in load_registry().entries if entry.kind == "sample"}
        assert licences == {"CC0-1.0", "LicenseRef-Public-Domain"}
