"""`segany doctor`: what is here, what is missing, and how to get it."""

import json
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from segany.cli._options import JsonOption

__all__ = ["command"]

_PACKAGES = ("segany", "torch", "numpy", "opencv-python-headless", "pillow", "safetensors", "openvino")


def command(
    as_json: JsonOption = False,
) -> int:
    """Say what is installed, which devices there are, where weights are kept and what is missing."""
    found = _look()
    if as_json:
        print(json.dumps(found))
    else:
        _print(found)
    return 1 if found["problems"] else 0


def _look() -> dict[str, Any]:
    from segany import weights
    from segany.settings import Settings

    settings = Settings.from_environment()
    problems: list[dict[str, str]] = []
    cached = [entry.name for entry in weights.entries() if entry.kind == "model" and weights.cached_path(entry.name)]
    if weights.DEFAULT_MODEL not in cached:
        pull = f"segany weights pull {weights.DEFAULT_MODEL}"
        problems.append({"problem": "the default model's weights are not here", "do": pull})
    existing = next(folder for folder in (settings.home, *settings.home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if not os.access(existing, os.W_OK):
        problems.append({"problem": f"{existing} cannot be written to", "do": "set SEGANY_HOME to another folder"})
    if free < 2**30:
        problems.append({"problem": f"only {free / 2**20:.0f} MiB free in {existing}", "do": "free some space"})
    devices, device_problems = _devices()
    return {
        "system": {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
        },
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": devices,
        "cache": {"folder": str(settings.home), "free_bytes": free, "models": cached, "bytes": _bytes(settings.home)},
        "problems": problems + device_problems,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return [], [{"problem": f"torch cannot be imported: {error}", "do": "pip install --force-reinstall torch"}]
    capability = torch.backends.cpu.get_cpu_capability()
    devices: list[dict[str, Any]] = [{"device": "cpu", "name": capability, "threads": torch.get_num_threads()}]
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        devices.append({"device": f"cuda:{number}", "name": properties.name, "bytes": properties.total_memory})
    if torch.backends.mps.is_available():
        devices.append({"device": "mps", "name": "Apple GPU"})
    return devices, []


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    system, cache = found["system"], found["cache"]
    table.add_row("system", f"{system['platform']}, Python {system['python']}, {system['cores']} cores")
    versions = (f"{name} {version or '(not installed)'}" for name, version in found["packages"].items())
    table.add_row("packages", ", ".join(versions))
    for device in found["devices"]:
        rest = ", ".join(f"{key} {value}" for key, value in device.items() if key != "device")
        table.add_row("device", f"{device['device']} ({rest})")
    used, free = f"{cache['bytes'] / 2**20:.0f} MiB", f"{cache['free_bytes'] / 2**30:.1f} GiB"
    table.add_row("weights", f"{cache['folder']}: {used} used, {free} free")
    table.add_row("models here", ", ".join(cache["models"]) or "none")
    console = Console()
    console.print(table)
    for problem in found["problems"]:
        console.print(f"[bold red]missing:[/] {problem['problem']}; do: {problem['do']}", soft_wrap=True)
    if not found["problems"]:
        console.print("[bold green]all is well[/]")
