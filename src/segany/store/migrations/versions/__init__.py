"""One module for each step, oldest first by name."""

__all__: list[str] = []
