"""The command line: thin commands; the only place that reads argv and config files."""

__all__: list[str] = []
