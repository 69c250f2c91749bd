"""COCO and LVIS instances with their images."""

from collections.abc import Iterator
from pathlib import Path

from segany.formats._coco_reading import Instances
from segany.formats.category import Category, FormatName
from segany.formats.problems import ProblemLog
from segany.schema import Record

__all__ = ["CocoFolder"]


class CocoFolder:
    """An instances file and the images it names; a reader of `segany.formats.open_dataset`."""

    def __init__(self, path: Path, log: ProblemLog) -> None:
        """Walk through the file.

        Args:
            path: The JSON file.
            log: Takes the problems.
        """
        self._path = path
        self._instances = Instances(path, log)
        self._roots: list[Path] = _image_roots(path)

    @property
    def format(self) -> FormatName:
        """What it is."""
        return "lvis" if self._instances.is_lvis else "coco"

    @property
    def categories(self) -> tuple[Category, ...]:
        """The file's categories."""
        return self._instances.listed_categories

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to tell."""
        return ()

    def __len__(self) -> int:
        return len(self._instances)

    def records(self) -> Iterator[Record]:
        """The records, in the file's order."""
        return self._instances.records()

    def image_file(self, record: Record) -> Path | None:
        """The image, wherever it lies: below the file's folder or the one above, in `images` or another folder."""
        for place, root in enumerate(self._roots):
            path = root / record.image.file_name
            if path.is_file():
                # Where one was found, the next ones will be.
                self._roots.insert(0, self._roots.pop(place))
                return path
        return None

    def annotation_path(self, record: Record) -> Path | None:
        """The instances file."""
        return self._path


def _image_roots(path: Path) -> list[Path]:
    """Folders that a file name may be meant from, the likely ones first."""
    folder = path.parent
    above = folder.parent
    likely = [folder / "images", folder, above / "images", above]
    inside = [inner for root in (folder, above) for inner in sorted(root.iterdir()) if inner.is_dir()]
    # instances_val2017.json belongs to val2017/.
    inside.sort(key=lambda inner: not path.stem.endswith(inner.name))
    return list(dict.fromkeys([root for root in likely if root.is_dir()] + inside))
