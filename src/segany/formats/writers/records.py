"""SA-1B: a JSON record beside each image, or both in tar files as SA-1B is released."""

import io
import tarfile
from contextlib import ExitStack
from pathlib import Path

from segany.formats import sa1b
from segany.formats._names import SafeNames
from segany.formats._placing import ImageFile
from segany.formats.writers._files import ImageFolder, image_suffix, json_bytes, renamed, write_beside
from segany.formats.writers.target import Options, Writer
from segany.schema import Record

__all__ = ["writer"]


def writer(folder: Path, options: Options) -> Writer:
    """A writer of records, in files or in tar files."""
    if options.shard_images is None:
        return _Files(folder, options)
    return _Shards(folder, options, options.shard_images)


class _Files:
    def __init__(self, folder: Path, options: Options) -> None:
        self._images = ImageFolder(folder, options.images)

    def add(self, record: Record, image: ImageFile) -> str:
        placed = self._images.place(record, image)
        name = placed.image.file_name
        write_beside(self._images.folder, name, ".json", json_bytes(sa1b.record_to_json(placed), name))
        return name

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Shards:
    """`sa_000000.tar`, `sa_000001.tar` ...; members carry no date and no owner, so that equal data give equal files."""

    def __init__(self, folder: Path, options: Options, images_each: int) -> None:
        self._folder, self._with_images, self._images_each = folder, options.images != "none", images_each
        self._names = SafeNames()
        self._count = 0
        self._opened = ExitStack()
        self._archive: tarfile.TarFile | None = None

    def add(self, record: Record, image: ImageFile) -> str:
        if self._archive is None or self._count % self._images_each == 0:
            self.close()
            path = self._folder / f"sa_{self._count // self._images_each:06d}.tar"
            self._archive = self._opened.enter_context(tarfile.open(path, "x", format=tarfile.PAX_FORMAT))  # noqa: SIM115
        self._count += 1
        # Readers of SA-1B know no folders in a tar file.
        wanted = record.image.file_name
        name = self._names.take(wanted, suffix=image_suffix(wanted, image), flat=True)
        if self._with_images and image is not None:
            self._put(self._archive, name, image.read_bytes() if isinstance(image, Path) else image.read())
        content = json_bytes(sa1b.record_to_json(renamed(record, name)), name)
        self._put(self._archive, str(Path(name).with_suffix(".json")), content)
        return name

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        self._archive = None
        self._opened.close()

    def _put(self, archive: tarfile.TarFile, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
        # Kept by tarfile for those who ask it for a member.
        archive.members.clear()  # type: ignore[attr-defined]
