"""Writers: records into a folder of one format, one after another; nothing of a record is kept but what must be."""

from segany.formats.writers.target import Options, Writer, open_writer

__all__ = ["Options", "Writer", "open_writer"]
