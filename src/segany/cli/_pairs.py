"""Options that say NAME=VALUE."""

from segany.errors import ConfigError

__all__ = ["pair"]


def pair(word: str, option: str) -> tuple[str, str]:
    """The name and the value of one word.

    Args:
        word: As it was typed.
        option: For the message.

    Raises:
        ConfigError: There is no name, no equals sign or no value.
    """
    name, equals, value = word.partition("=")
    if not equals or not name or not value:
        raise ConfigError(f"{option} must be NAME=VALUE, got {word!r}.")
    return name, value
