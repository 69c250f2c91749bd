"""Many images, with a backend that needs no weights."""

import importlib
import json
import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import ConfigError, DeviceError, DigestError, SeganyError
from segany.formats import sa1b
from segany.predict.automatic import (
    EverythingSpec,
    GridSettings,
    Item,
    Outcome,
    ResultFolder,
    Thresholds,
    run,
)
from segany.predict.automatic import spec as spec_module
from segany.predict.backends import FakeBackend
from segany.schema import Image, Record

# A module of its own, since workers import it by name.
WORKER_SPEC = """
import os
from segany.predict.automatic import EverythingSpec
from segany.predict.backends import FakeBackend

class WorkerSpec(EverythingSpec):
    def backend(self, progress=None):
        if self.model == "broken" and os.environ.get("SEGANY_THREADS"):
            from segany.errors import DigestError
            raise DigestError("another model")
        return FakeBackend()

    def find(self, image, clock, progress=None):
        if image.info.file_name.startswith("kill"):
            os._exit(9)
        return super().find(image, clock, progress)
"""
SETTINGS: dict[str, Any] = {
    "grid": GridSettings(points_per_side=3, points_per_batch=4),
    "thresholds": Thresholds(stability_score_thresh=0.5),
    "use_cache": False,
}


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> EverythingSpec:
    monkeypatch.setattr(spec_module, "_loaded", {("fake", "auto", "auto", "auto"): FakeBackend()})
    return EverythingSpec(model="fake", **SETTINGS).resolved()


@pytest.fixture
def worker_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EverythingSpec:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "worker_spec_for_tests.py").write_text(WORKER_SPEC)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    made = importlib.import_module("worker_spec_for_tests").WorkerSpec(model="fake", **SETTINGS)
    assert isinstance(made, EverythingSpec)
    return made


def photos(folder: Path, *names: str) -> list[Item]:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name in names:
        PillowImage.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    return [Item(name, folder / f"{name}.png") for name in names]


def results(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Told:
    """Progress that is remembered, and that may press Ctrl-C."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.shares: list[float] = []
        self.outcomes: list[Outcome] = []
        self._stop_after = stop_after

    def __call__(self, item: Item, share: float, outcome: Outcome | None) -> None:
        self.shares.append(share)
        if outcome is not None:
            self.outcomes.append(outcome)
        if len(self.outcomes) >= self._stop_after:
            raise KeyboardInterrupt


def test_every_image_gets_a_record_and_a_second_run_skips_them(spec: EverythingSpec, tmp_path: Path) -> None:
    items = photos(tmp_path / "in", "a", "b")
    sink, told = ResultFolder(tmp_path / "out", spec.settings()), Told()
    summary = run(iter(items), spec, sink, progress=told)
    assert (summary.done, summary.skipped, dict(summary.errors)) == (2, 0, {})
    assert results(tmp_path / "out") == ["a.json", "a.overlay.png", "b.json", "b.overlay.png"]
    record = sa1b.read_record(tmp_path / "out" / "a.json")
    assert record.image.file_name == "a.png"
    assert 0 < len(record.annotations) == told.outcomes[0].masks
    assert summary.masks == sum(outcome.masks or 0 for outcome in told.outcomes)
    assert (told.outcomes[0].clicks, told.outcomes[0].complete) == (9, True)
    assert set(told.outcomes[0].seconds) == {"read", "embed", "click", "select", "write"}
    assert all(seconds > 0 for seconds in told.outcomes[0].seconds.values())
    assert told.shares == [pytest.approx(share) for share in (4 / 9, 8 / 9, 1, 1) * 2]
    before = (tmp_path / "out" / "a.json").stat().st_mtime_ns
    again = run(items, spec, sink)
    assert (again.done, again.skipped) == (0, 2)
    assert (tmp_path / "out" / "a.json").stat().st_mtime_ns == before


def test_the_record_is_the_generators(spec: EverythingSpec, tmp_path: Path) -> None:
    from segany.predict import Predictor
    from segany.predict.automatic import AutomaticMaskGenerator

    items = photos(tmp_path / "in", "a")
    run(items, spec, ResultFolder(tmp_path / "out", spec.settings()))
    generator = AutomaticMaskGenerator(Predictor(backend=FakeBackend()), spec.clicking)
    expected = sa1b.record_to_json(generator.generate(items[0].path, spec.thresholds))
    written = json.loads((tmp_path / "out" / "a.json").read_text())
    assert written.pop("segany") == {"everything": json.loads(json.dumps(spec.settings()))}
    assert written == expected


def test_modes_are_made_of_the_same_masks(spec: EverythingSpec, tmp_path: Path) -> None:
    (item,) = photos(tmp_path / "in", "a")
    records = {}
    for mode in ("full", "hierarchy", "cover"):
        made = replace(spec, mode=mode, thresholds=Thresholds(stability_score_thresh=0.5, box_nms_thresh=1))
        run([item], made, ResultFolder(tmp_path / mode, made.settings()))
        records[mode] = sa1b.read_record(tmp_path / mode / "a.json").annotations
    full = {annotation.id: annotation.segmentation for annotation in records["full"]}
    assert {annotation.id: annotation.segmentation for annotation in records["hierarchy"]} == full
    layers = np.sum([annotation.segmentation.to_mask() for annotation in records["cover"]], axis=0)
    assert (layers == 1).all()
    assert {annotation.id for annotation in records["cover"]} <= full.keys()


def test_adaptive_clicks_less_and_time_that_is_up_is_told(spec: EverythingSpec, tmp_path: Path) -> None:
    (item,) = photos(tmp_path / "in", "a")

    def outcome_of(made: EverythingSpec, name: str) -> Outcome:
        told = Told()
        run([item], made, ResultFolder(tmp_path / name, made.settings()), progress=told)
        return told.outcomes[0]

    full = replace(spec, grid=GridSettings(points_per_side=8, points_per_batch=4))
    assert outcome_of(full, "full").clicks == 64
    adaptive = outcome_of(replace(full, mode="adaptive"), "adaptive")
    assert adaptive.complete
    assert 16 <= adaptive.clicks < 64
    late = outcome_of(replace(full, max_seconds=1e-9), "late")
    assert (late.clicks, late.complete) == (4, False)


def test_a_bad_image_is_recorded_and_the_rest_goes_on(spec: EverythingSpec, tmp_path: Path) -> None:
    items = photos(tmp_path / "in", "a", "bad", "c")
    items[1].path.write_bytes(b"this is no picture")
    summary = run(items, spec, ResultFolder(tmp_path / "out", spec.settings()))
    assert summary.done == 2
    assert list(summary.errors) == [items[1]]
    assert "bad.png" in summary.errors[items[1]]
    items[1].path.unlink()
    again = run(items, spec, ResultFolder(tmp_path / "out", spec.settings()))
    assert (again.skipped, list(again.errors)) == (2, [items[1]])


def test_a_fault_of_the_sink_is_the_items_own(spec: EverythingSpec, tmp_path: Path) -> None:
    class Sink:
        def resume(self, item: Item) -> bool:
            return False

        def write(self, item: Item, image: Image, record: Record) -> None:
            if item.name == "a":
                raise MemoryError("no more")

    summary = run(photos(tmp_path / "in", "a", "b"), spec, Sink())
    assert [(item.name, error) for item, error in summary.errors.items()] == [("a", "MemoryError: no more")]
    assert summary.done == 1


def test_ctrl_c_leaves_whole_results_and_the_same_call_goes_on(spec: EverythingSpec, tmp_path: Path) -> None:
    items = photos(tmp_path / "in", "a", "b", "c")
    sink = ResultFolder(tmp_path / "out", spec.settings())
    with pytest.raises(KeyboardInterrupt):
        run(items, spec, sink, progress=Told(stop_after=1))
    assert results(tmp_path / "out") == ["a.json", "a.overlay.png"]
    assert (run(items, spec, sink).done, run(items, spec, sink).skipped) == (2, 3)


def test_another_model_under_the_same_name_is_refused(spec: EverythingSpec, tmp_path: Path) -> None:
    other = replace(spec, model_digest="f" * 64)
    with pytest.raises(DigestError) as caught:
        run(photos(tmp_path / "in", "a"), other, ResultFolder(tmp_path / "out", other.settings()))
    assert str(caught.value) == (
        "fake is another model here: its parameters have the digest 000000000000, not ffffffffffff; use the same "
        "weights everywhere."
    )


def test_another_precision_than_where_the_settings_were_made_is_refused(spec: EverythingSpec, tmp_path: Path) -> None:
    assert (spec.settings()["runtime"], spec.settings()["precision"]) == ("fake", "float32")
    newer = replace(spec, backend_key="fake/2/cuda/float32")
    assert newer.settings() == spec.settings()
    assert newer.backend() is spec.backend()
    other = replace(spec, backend_key="fake/1/cpu/bfloat16")
    with pytest.raises(DeviceError) as caught:
        run(photos(tmp_path / "in", "a"), other, ResultFolder(tmp_path / "out", other.settings()))
    assert str(caught.value) == (
        "fake would run by fake in float32 here, not by fake in bfloat16; name runtime and precision."
    )


def test_bad_calls_say_what_was_wanted(spec: EverythingSpec, tmp_path: Path) -> None:
    (item,) = photos(tmp_path / "in", "a")
    sink = ResultFolder(tmp_path / "out", spec.settings())
    with pytest.raises(ConfigError, match=r"^workers must be at least 1, got 0\.$"):
        run([item], spec, sink, workers=0)
    with pytest.raises(ConfigError, match=r"a.png and .*b.png have one name for their results, 'a'; give each its own"):
        run([item, Item("a", tmp_path / "b.png")], spec, sink)


def test_workers_give_the_same_and_one_that_dies_takes_only_its_own_image(
    worker_spec: EverythingSpec, tmp_path: Path
) -> None:
    items = photos(tmp_path / "in", "a", "kill", "bad", "d", "e")
    items[2].path.write_bytes(b"this is no picture")
    sink, told = ResultFolder(tmp_path / "out", worker_spec.settings()), Told()
    summary = run(items, worker_spec, sink, workers=2, progress=told)
    assert (summary.done, summary.skipped) == (3, 0)
    assert {item.name for item in summary.errors} == {"kill", "bad"}
    assert summary.errors[items[1]] == (
        "its worker process ended (exit code 9), often for want of memory; use fewer workers or a smaller image."
    )
    assert any(0 < share < 1 for share in told.shares)
    assert multiprocessing.active_children() == []
    alone = ResultFolder(tmp_path / "alone", worker_spec.settings())
    run([items[0], items[3]], worker_spec, alone)
    for name in results(tmp_path / "alone"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_ctrl_c_ends_the_workers(worker_spec: EverythingSpec, tmp_path: Path) -> None:
    items = photos(tmp_path / "in", *"abcdefgh")
    sink = ResultFolder(tmp_path / "out", worker_spec.settings())
    with pytest.raises(KeyboardInterrupt):
        run(items, worker_spec, sink, workers=2, progress=Told(stop_after=1))
    assert multiprocessing.active_children() == []
    assert not [name for name in results(tmp_path / "out") if name.startswith(".")]
    done = [sa1b.read_record(path) for path in (tmp_path / "out").glob("*.json")]
    assert 1 <= len(done) < 8
    assert run(items, worker_spec, sink).skipped == len(done)


def test_a_worker_that_cannot_load_ends_the_run(worker_spec: EverythingSpec, tmp_path: Path) -> None:
    broken = replace(worker_spec, model="broken")
    with pytest.raises(SeganyError, match=r"^a worker process could not go on: another model$"):
        run(photos(tmp_path / "in", "a", "b", "c"), broken, ResultFolder(tmp_path / "out", {}), workers=2)
    assert multiprocessing.active_children() == []


class TestSpec:
    def test_it_can_be_pickled(self) -> None:
        spec = EverythingSpec(model="x", grid=GridSettings(point_grids=(np.array([[0.5, 0.5]]),)), max_seconds=2)
        assert pickle.loads(pickle.dumps(spec)).settings() == spec.settings()

    def test_settings_are_what_changes_the_masks(self) -> None:
        plain = EverythingSpec()
        assert replace(plain, device="cpu", max_pixels=5, use_cache=False).settings() == plain.settings()
        assert replace(plain, grid=GridSettings(points_per_batch=3)).settings() == plain.settings()
        for change in (
            {"grid": GridSettings(points_per_side=31)},
            {"thresholds": Thresholds(box_nms_thresh=0.6)},
            {"max_seconds": 3.0},
            {"model_digest": "a"},
            {"precision": "bfloat16"},
        ):
            assert replace(plain, **change).settings() != plain.settings()
        json.dumps(EverythingSpec(grid=GridSettings(point_grids=(np.array([[0.5, 0.5]]),))).settings())

    def test_a_low_threshold_lowers_the_floor(self) -> None:
        assert EverythingSpec(thresholds=Thresholds(pred_iou_thresh=0.5)).clicking.floor == 0.5

    def test_bad_values_say_what_was_wanted(self) -> None:
        with pytest.raises(ConfigError, match=r"^mode must be one of full.*, got 'half'\.$"):
            EverythingSpec(mode="half")
        with pytest.raises(ConfigError, match=r"^max_seconds must be above 0, got 0\.$"):
            EverythingSpec(max_seconds=0)
