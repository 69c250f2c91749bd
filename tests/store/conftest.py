"""Stores to test on, embedded and on a PostgreSQL server of our own; and small records to put into them."""

import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Record
from segany.store import Incoming, IngestStep, Store, create_store
from segany.store.models import Base

SIZE = Size(24, 32)


@dataclass
class Server:
    """A PostgreSQL server; each store gets a database of its own."""

    port: int
    programs: Path
    run_as: list[str]
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        name = f"t{os.getpid()}_{next(self.numbers)}"
        self.sql([f"CREATE DATABASE {name}"])
        return self.url(name)

    def sql(self, statements: Sequence[str], database: str = "postgres") -> None:
        import pg8000.dbapi

        connection = pg8000.dbapi.connect("postgres", host="127.0.0.1", port=self.port, database=database)
        connection.autocommit = True
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        connection.close()


def find_programs() -> Path | None:
    """Debian keeps them out of the path."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    candidates = [Path(found).parent] if found else folders
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    pytest.importorskip("pg8000", reason="pg8000 is not installed: pip install 'segany[postgres]'")
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    run_as: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="segany-postgres-"))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # It refuses to run as root.
        run_as = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control = [*run_as, str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
    try:
        make = [*run_as, str(programs / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "-N"]
        subprocess.run([*make, "-E", "UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, cwd=folder)
        start = [*control, "-l", str(folder / "log"), "-o", options, "start"]
        subprocess.run(start, check=True, capture_output=True, cwd=folder)
        yield Server(port, programs, run_as)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_store(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The one store on the server, which is emptied for each test; a database of its own for each is slow to delete."""
    url = server.new_database()
    create_store(url, images=str(tmp_path_factory.mktemp("server-images")))
    return url


def empty_again(server: Server, url: str, images: Path) -> None:
    database = url.rpartition("/")[2]
    server.sql([f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"])
    tables = ", ".join(f'"{name}"' for name in Base.metadata.tables)
    values = f"('images', '{json.dumps(str(images))}', 0), ('store_id', '\"test\"', 0)"
    server.sql(
        [
            f"TRUNCATE {tables} RESTART IDENTITY CASCADE",
            "INSERT INTO counters VALUES (1, 0, 0, 0, 0)",
            f"INSERT INTO store_values VALUES {values}",
        ],
        database,
    )


@pytest.fixture
def empty_server_store(server: Server) -> Callable[[str, Path], None]:
    """Empties the store on the server once more."""
    return lambda url, images: empty_again(server, url, images)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be made."""
    if request.param == "sqlite":
        return str(tmp_path / "store")
    found: Server = request.getfixturevalue("server")
    return found.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where there is an empty store, on either database."""
    if request.param == "sqlite":
        create_store(tmp_path / "store")
        return str(tmp_path / "store")
    url: str = request.getfixturevalue("server_store")
    empty_again(request.getfixturevalue("server"), url, tmp_path / "images")
    return url


OpenStore = Callable[..., Store]


@pytest.fixture
def open_at() -> Iterator[OpenStore]:
    """Opens stores that are closed at the end."""
    opened: list[Store] = []

    def open_one(location: str | Path, steps: Mapping[str, IngestStep] | None = None) -> Store:
        opened.append(Store(location, steps=steps or {}))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(location: str, open_at: OpenStore) -> Store:
    """An empty store, on either database."""
    return open_at(location)


@pytest.fixture
def embedded(tmp_path: Path, open_at: OpenStore) -> Store:
    """An empty store on SQLite, where the database makes no difference."""
    create_store(tmp_path / "store")
    return open_at(tmp_path / "store")


def mask_of(seed: int, size: Size = SIZE) -> RLE:
    """A rectangle that the seed decides."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, dtype=np.bool_)
    y, x = rng.integers(0, size.height - 4), rng.integers(0, size.width - 4)
    mask[y : y + rng.integers(2, 5), x : x + rng.integers(2, 5)] = True
    return RLE.from_mask(mask)


class Samples:
    """Makes records, masks and photos."""

    size = SIZE

    def mask(self, seed: int, size: Size = SIZE) -> RLE:
        return mask_of(seed, size)

    def annotation(self, identity: int | str, seed: int = 0, **values: Any) -> Annotation:
        return Annotation(identity, mask_of(seed), **{"created_at": datetime(2026, 1, 2, tzinfo=UTC), **values})

    def record(self, number: int, masks: int = 2, **image: Any) -> Record:
        info = ImageInfo(number, f"photo-{number}.png", SIZE, **image)
        return Record(info, tuple(self.annotation(k, 100 * number + k) for k in range(1, masks + 1)))

    def incoming(self, count: int, masks: int = 2, origin: str = "made.json") -> list[Incoming]:
        return [Incoming(self.record(number, masks), origin=origin) for number in range(1, count + 1)]

    def pixels(self, seed: int, size: Size = SIZE) -> Any:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (max(6, size.height // 6), max(8, size.width // 6), 3), dtype=np.uint8)
        return np.array(PillowImage.fromarray(coarse).resize((size.width, size.height), PillowImage.Resampling.BICUBIC))

    def photo(self, path: Path, seed: int = 0, size: Size = SIZE) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        PillowImage.fromarray(self.pixels(seed, size)).save(path)
        return path


@pytest.fixture
def samples() -> Samples:
    return Samples()
