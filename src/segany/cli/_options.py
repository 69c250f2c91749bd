"""Options that several commands have in common, told in the same words."""

from typing import Annotated

import typer

__all__ = [
    "DeviceOption",
    "JsonOption",
    "MaxPixelsOption",
    "ModelOption",
    "PrecisionOption",
    "RuntimeOption",
    "ThreadsOption",
]

ModelOption = Annotated[str, typer.Option(help="A name of `segany weights list`, or a checkpoint file.")]
DeviceOption = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:N or mps.")]
PrecisionOption = Annotated[
    str, typer.Option(help="How exactly: auto, float32 (the exactest), mixed, balanced, bfloat16 or int8.")
]
RuntimeOption = Annotated[str, typer.Option(help="What computes: auto, torch or openvino.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads for computing.")]
MaxPixelsOption = Annotated[int | None, typer.Option(min=1, help="Largest image read whole, in pixels.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
