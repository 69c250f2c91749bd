"""The exception tree: what is drawn is what is there, and each can be caught by its built-in kin."""

import re

import pytest

from segany import errors


def classes() -> dict[str, type[BaseException]]:
    return {name: getattr(errors, name) for name in errors.__all__}


def test_the_drawing_is_the_tree() -> None:
    assert errors.__doc__ is not None
    rows = re.findall(r"^([│ ├└─]*)(\w+Error)\b", errors.__doc__, re.MULTILINE)
    drawn: dict[str, str] = {}
    path: list[str] = []
    for indent, name in rows:
        path = [*path[: len(indent) // 4], name]
        if len(path) > 1:
            drawn[name] = path[-2]
    # A class with two parents of ours is drawn under the first.
    actual = {name: cls.__bases__[0].__name__ for name, cls in classes().items() if name != "SeganyError"}
    assert drawn == actual


def test_all_names_every_error() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert defined == set(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_one_except_catches_all(name: str) -> None:
    assert issubclass(classes()[name], errors.SeganyError)
    assert classes()[name].__doc__


@pytest.mark.parametrize(
    ("error", "kin"),
    [
        (errors.PromptError, ValueError),
        (errors.UnknownWeightsError, ValueError),
        (errors.UnknownWeightsError, errors.WeightsError),
        (errors.OutputError, OSError),
    ],
)
def test_kinship(error: type[Exception], kin: type[Exception]) -> None:
    with pytest.raises(kin, match="message"):
        raise error("message")


def test_missing_extra_says_how_to_get_it() -> None:
    error = errors.MissingExtraError("Reading DICOM", "medical")
    assert str(error) == "Reading DICOM needs an optional part. Install it: pip install 'segany[medical]'"
    assert error.extra == "medical"
