"""GeoJSON: pixels, rasters' coordinates, and files from elsewhere."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import RecordError
from segany.formats import Options, convert, open_dataset, plan_conversion, sa1b
from segany.formats.geojson import pixels_to_map, raster_map, record_from_json
from segany.formats.problems import ProblemLog
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Record

SIZE = Size(40, 60)
SQUARE = [[2, 3], [12, 3], [12, 9], [2, 9], [2, 3]]
HOLE = [[4, 4], [4, 6], [6, 6], [6, 4], [4, 4]]


def feature(coordinates: Any = None, kind: str = "Polygon", **properties: Any) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": [SQUARE] if coordinates is None else coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties or None}


def document(*features: Any, **members: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)} | members


def areas(*features: Any) -> list[int]:
    record = record_from_json(document(*features), "a.geojson", "a.png", SIZE)
    return [each.area for each in record.annotations]


def test_polygons_have_holes_and_parts() -> None:
    other = [[30, 3], [40, 3], [40, 9], [30, 9], [30, 3]]
    found = areas(feature(), feature([SQUARE, HOLE]), feature([[SQUARE, HOLE], [other]], "MultiPolygon"))
    assert found == [60, 56, 116]


def test_heights_are_left_out_and_open_rings_are_closed() -> None:
    assert areas(feature([[[x, y, 7.5] for x, y in SQUARE]]), feature([SQUARE[:-1]])) == [60, 60]


def test_properties_of_others_are_kept() -> None:
    record = record_from_json(document(feature(id=7, category="roof", storeys=3)), "a.geojson", "a.png", SIZE)
    (annotation,) = record.annotations
    assert (annotation.id, annotation.category, dict(annotation.extra)) == (7, "roof", {"storeys": 3})
    assert annotation.source == "manual"


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (feature([1, 2], "Point"), "invalid"),
        (feature([]), "invalid"),
        (feature([[]]), "invalid"),
        (feature([[[1, 2], [3, 4]]]), "invalid"),
        (feature([SQUARE, "x"]), "invalid"),
        (feature([[[float("inf"), 2], [3, 4], [5, 5]]]), "invalid"),
        (feature([[[1e300, 2], [3, 4], [5, 5]]]), "invalid"),
        ({"type": "Feature", "geometry": {"type": "Polygon"}}, "invalid"),
        ("text", "invalid"),
        (feature(id=1), "duplicate_id"),
    ],
)
def test_a_bad_feature_is_left_out_and_told(bad: Any, kind: str) -> None:
    log = ProblemLog()
    record = record_from_json(document(feature(), bad), "a.geojson", "a.png", SIZE, log)
    assert [each.area for each in record.annotations] == [60]
    assert [problem.kind for problem in log.kept] in ([kind], ["not_a_number"])


def test_without_a_size_or_a_map_a_file_says_nothing() -> None:
    with pytest.raises(RecordError, match="no image of its name and no member `image`, and so no size"):
        record_from_json(document(feature()), "a.geojson", "a")
    with pytest.raises(RecordError, match="it has a crs, but nothing says how its coordinates lie on the image"):
        record_from_json(document(feature(), crs={"type": "name"}), "a.geojson", "a.png", SIZE)
    with pytest.raises(RecordError, match="height and width must be from 1 to"):
        record_from_json(document(image={"width": 5, "height": -5}), "a.geojson", "a.png")


def test_a_million_points_are_one_polygon() -> None:
    turns = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    points = np.stack([30 + 15 * np.cos(turns), 20 + 15 * np.sin(turns)], axis=1)
    (area,) = areas(feature([points.tolist()]))
    assert abs(area - np.pi * 225) < 20


@pytest.mark.parametrize(
    ("affine", "crs", "point"),
    [
        ((0.5, 0.0, 733601.0, 0.0, -0.5, 3725139.0), "EPSG:32616", [733602.0, 3725137.5]),
        ((0.5, 0.1, 10.0, 0.0, -0.5, 20.0, 0.0, 0.0, 1.0), "EPSG:4326", [11.3, 18.5]),
        ((0.5, 0.0, 733601.0, 0.0, -0.5, 3725139.0), None, [2.0, 3.0]),
        ((0.0, 0.0, 1.0, 0.0, 0.0, 1.0), "EPSG:32616", [2.0, 3.0]),
        (tuple(range(16)), "EPSG:32616", [2.0, 3.0]),
    ],
)
def test_coordinates_are_the_rasters_where_it_has_any(affine: Any, crs: Any, point: list[float]) -> None:
    info = ImageInfo(1, "a.tif", SIZE, affine=affine, crs=crs)
    assert pixels_to_map([[2, 3]], raster_map(info))[0].tolist() == pytest.approx(point)


def test_a_raster_goes_out_in_its_coordinates_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    PillowImage.new("L", (60, 40)).save(folder / "images" / "tile.png")
    own = {"affine": [0.5, 0, 733601.0, 0, -0.5, 3725139.0], "crs": "EPSG:32616", "image_id": 9}
    turned = (np.array([SQUARE, HOLE]) * (0.5, -0.5) + (733601.0, 3725139.0)).tolist()
    given = document(feature(turned), crs={"type": "name"}, segany=own)
    (folder / "labels" / "tile.geojson").write_text(json.dumps(given), encoding="utf-8")
    source = open_dataset(folder, strict=True)
    assert source.format == "geojson"
    (record,) = source.records()
    assert (record.image.image_id, record.annotations[0].area) == (9, 56)
    convert(source, tmp_path / "out", plan_conversion(source, Options("geojson")))
    written = json.loads((tmp_path / "out" / "labels" / "tile.geojson").read_text(encoding="utf-8"))
    assert written["crs"] == {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32616"}}
    assert written["features"][0]["geometry"]["coordinates"][0][0][0] == [733602.0, 3725137.5]
    (back,) = open_dataset(tmp_path / "out", strict=True).records()
    assert back.annotations[0].segmentation == record.annotations[0].segmentation


def rasters() -> Any:
    return pytest.importorskip("rasterio", reason="rasterio, which tells other programs' reading, is not installed")


def check_raster(path: Path, masks: list[RLE], folder: Path) -> None:
    """What is written lies where rasterio sees these pixels, and comes back pixel by pixel."""
    with rasters().open(path) as raster:
        matrix, crs, size = raster.transform, str(raster.crs), Size(*raster.shape)
    info = ImageInfo(1, path.name, size, affine=tuple(matrix), crs=crs)
    record = Record(info, tuple(Annotation(k, mask, source="manual") for k, mask in enumerate(masks, start=1)))
    (folder / "in").mkdir(parents=True)
    sa1b.write_record(record, folder / "in" / f"{path.stem}.json")
    shutil.copy(path, folder / "in")
    source = open_dataset(folder / "in", strict=True)
    convert(source, folder / "out", plan_conversion(source, Options("geojson")))
    written = json.loads((folder / "out" / "labels" / f"{path.stem}.geojson").read_text(encoding="utf-8"))
    drawn = pytest.importorskip("rasterio.features")
    back_to_pixels = np.linalg.inv(np.array(matrix).reshape(3, 3))
    for feature, mask in zip(written["features"], masks, strict=True):
        seen = drawn.rasterize([feature["geometry"]], out_shape=size, transform=matrix, dtype="uint8")
        assert (seen.astype(bool) == mask.to_mask()).all()
        for ring in (ring for polygon in feature["geometry"]["coordinates"] for ring in polygon):
            pixels = np.array(ring) @ back_to_pixels[:2, :2].T + back_to_pixels[:2, 2]
            assert np.abs(pixels - pixels.round()).max() < 1e-6
    (back,) = open_dataset(folder / "out", strict=True).records()
    assert [each.segmentation for each in back.annotations] == masks
    assert (back.image.affine, back.image.crs) == (tuple(matrix), crs)


@pytest.mark.parametrize("turned", [0.0, 0.3])
def test_a_geotiff_goes_out_in_its_coordinates(turned: float, tmp_path: Path) -> None:
    rasterio = rasters()
    rng = np.random.default_rng(4)
    transform = rasterio.Affine(0.5, turned, 733601.25, turned, -0.5, 3725139.75)
    path = tmp_path / "tile.tif"
    shape = {"width": 60, "height": 40, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32616", transform=transform, **shape) as raster:
        raster.write(rng.integers(0, 2**16, (1, 40, 60), dtype=np.uint16))
    masks = [RLE.from_mask(rng.random(SIZE) < share) for share in (0.02, 0.5, 0.98)]
    # rasterio draws the pixels whose middle lies in a polygon, so it sees the same at any angle.
    check_raster(path, masks, tmp_path / "work")


@pytest.mark.parametrize("labels", ["geotiff_labels", "geotiff_custom_proj_labels"])
def test_footprints_of_a_real_raster(labels: str, annotated_data: Path, tmp_path: Path) -> None:
    path = annotated_data / "spacenet" / f"sample_{labels.removesuffix('_labels')}.tif"
    given = json.loads((annotated_data / "spacenet" / f"{labels}.geojson").read_text(encoding="utf-8"))
    with rasters().open(path) as raster:
        matrix, crs, size = raster.transform, str(raster.crs), Size(*raster.shape)
    own = {"affine": list(matrix), "crs": crs, "image_id": 1}
    log = ProblemLog()
    record = record_from_json(given | {"crs": {}, "segany": own}, labels, path.name, size, log)
    assert len(record.annotations) + len(log.kept) >= len(given["features"])
    drawn = pytest.importorskip("rasterio.features")
    shapes = [feature["geometry"] for feature in given["features"]]
    theirs = drawn.rasterize(shapes, out_shape=size, transform=matrix, dtype="uint8").astype(bool)
    ours = RLE.merge([each.segmentation for each in record.annotations]).to_mask()
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95
    check_raster(path, [each.segmentation for each in record.annotations], tmp_path / "work")


def test_coordinates_off_the_map_are_refused() -> None:
    own = {"affine": [1e-150, 0, 0, 0, 1e-150, 0], "crs": "EPSG:4326"}
    log = ProblemLog()
    given = document(feature([[[1e200, 2], [3, 1e200], [5, 5]]]), crs={}, segany=own)
    assert record_from_json(given, "a.geojson", "a.png", SIZE, log).annotations == ()
    assert "a ring's coordinates must be numbers up to" in log.kept[0].what


def test_an_image_without_a_file_has_no_masks(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for name in ("a", "b"):
        PillowImage.new("L", (60, 40)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels" / "b.geojson").write_text(json.dumps(document(feature())), encoding="utf-8")
    dataset = open_dataset(tmp_path, strict=True)
    assert [len(each.annotations) for each in dataset.records()] == [0, 1]
    assert len(dataset) == 2
