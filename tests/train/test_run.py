"""Runs from data to a checkpoint: they learn, end, go on, and fail with a word on what to do."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import segany.train.checkpoints
import segany.train.plan
import segany.train.tasks
from segany import Predictor
from segany.errors import CheckpointError, ConfigError, OutputError, TrainingError
from segany.formats import open_dataset
from segany.model.checkpoint import load_sam, model_digest, read_card
from segany.predict.backends.torch import TorchBackend
from segany.schema import Prompt
from segany.train import FolderData, TrainConfig, TrainProgress, TrainResult

Make = Callable[..., TrainConfig]
Run = Callable[..., TrainResult]


def losses(folder: Path) -> list[float]:
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


def same(first: Path, second: Path) -> bool:
    one, other = load_file(first), load_file(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("tune", ["scores", "decoder", "lora", "full", "distil"])
def test_a_run_gives_a_model_and_says_how_it_was_made(run: Run, make_config: Make, tmp_path: Path, tune: str) -> None:
    told: list[TrainProgress] = []
    sentences: list[str] = []
    config = make_config(tune=tune, merge=False, student_dims=(8, 8, 16, 16), keep_weight=0.0)
    result = run(config, progress=told.append, planned=lambda plan: sentences.extend(plan.sentences()))
    assert result.model == tmp_path / "run" / "model.safetensors"
    assert result.model is not None
    assert result.stopped == "finished"
    assert result.steps == 4
    card = read_card(result.model)
    assert card["digest"] == result.digest
    assert card["name"].endswith(f"-{tune}")
    assert card["training"] == config.to_dict()
    assert result.digest == model_digest(load_sam(result.model))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["config"] == config.to_dict()
    assert manifest["data"]["train_images"] == 3
    assert manifest["result"]["best"]["miou_1"] == result.best.miou_1 if result.best else False
    assert str(tmp_path) not in json.dumps(manifest["data"])
    assert (tmp_path / "run" / "adapter.safetensors").is_file() == (tune == "lora")
    assert (tmp_path / "run" / "training.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert not list((tmp_path / "run").glob("checkpoint*"))
    assert [one.done for one in told if one.stage == "train"] == [1, 2, 3, 4]
    assert len(sentences) == 4
    photo = np.zeros((48, 64, 3), dtype=np.uint8)
    predictor = Predictor(backend=TorchBackend(load_sam(result.model), device="cpu"))
    assert len(predictor.predict(predictor.embed(photo), Prompt(points=[(5, 5)], labels=[1]))) == 3


def test_it_overfits_one_image(make_config: Make, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    mask = np.zeros((64, 64), dtype=np.bool_)
    mask[12:52, 16:56] = True
    Image.fromarray((mask[..., None] * np.array([200, 120, 60])).astype(np.uint8)).save(folder / "images" / "a.png")
    Image.fromarray(mask.astype(np.uint8)).save(folder / "labels" / "a.png")
    config = make_config(
        steps=300,
        views=1,
        images_per_step=1,
        clicks=0,
        repeats=0,
        box_share=0.0,
        learning_rate=3e-3,
        weight_decay=0.0,
        clip_norm=10.0,
        val_share=0.0,
        save_every=1000,
        schedule="cosine",
    )
    result = run(config, data=[FolderData("one", folder)])
    assert result.model is not None
    predictor = Predictor(backend=TorchBackend(load_sam(result.model), device="cpu"))
    prediction = predictor.predict(predictor.embed(folder / "images" / "a.png"), Prompt(points=[(35, 32)], labels=[1]))
    answer = prediction.best().to_mask()
    assert (answer & mask).sum() / (answer | mask).sum() > 0.95


@pytest.mark.parametrize("tune", ["decoder", "full"])
def test_a_stopped_run_goes_on_to_the_same_numbers(run: Run, make_config: Make, tmp_path: Path, tune: str) -> None:
    config = make_config(tune=tune, steps=5)
    whole = run(config, "whole")
    stops = iter([False, False, True])
    first = run(config, "parts", cancelled=lambda: next(stops))
    assert first.stopped == "cancelled"
    assert first.model is None
    second = run(config, "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert second.digest == whole.digest
    assert second.best == whole.best
    again = run(config, "parts")
    assert (again.digest, again.steps, again.best) == (second.digest, second.steps, second.best)


def test_the_same_seed_gives_the_same_run_and_another_another(run: Run, make_config: Make, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(make_config(seed=seed, steps=2), name)
    assert same(tmp_path / "a" / "model.safetensors", tmp_path / "b" / "model.safetensors")
    assert not same(tmp_path / "a" / "model.safetensors", tmp_path / "c" / "model.safetensors")


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from segany.model.checkpoint import load_sam
from segany import Predictor
from segany.predict.backends.torch import TorchBackend
from segany.train import FolderData, TrainConfig, train
import json
if __name__ == "__main__":
    given, data, out = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    config = TrainConfig.from_dict(given)
    embedder = Predictor(backend=TorchBackend(load_sam(config.model), device="cpu")) if config.devices == 1 else None
    train(config, data=[FolderData("discs", data)], out=out, predictor=embedder,
          progress=(lambda at: print(at.stage, at.done, flush=True)) if config.devices == 1 else None)
"""


def start(config: TrainConfig, data: Path, out: Path, script: Path) -> "subprocess.Popen[str]":
    script.write_text(SCRIPT, encoding="utf-8")
    words = [sys.executable, "-W", "ignore", str(script), json.dumps(config.to_dict()), str(data), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_goes_on_to_the_same_numbers(make_config: Make, discs: Path, tmp_path: Path) -> None:
    config = make_config(steps=6, save_every=2)
    killed = start(config, discs, tmp_path / "killed", tmp_path / "run.py")
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.strip() == "train 3":
            killed.send_signal(signal.SIGKILL)
            break
    killed.wait()
    killed.stdout.close()
    for name in ("killed", "whole"):
        done = start(config, discs, tmp_path / name, tmp_path / "run.py")
        output, _ = done.communicate()
        assert done.returncode == 0, output
    assert same(tmp_path / "killed" / "model.safetensors", tmp_path / "whole" / "model.safetensors")
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")


def test_two_processes_learn_what_one_does(make_config: Make, discs: Path, tmp_path: Path) -> None:
    """DDP on two CPU processes: the same images make a step, so the same model comes out, up to the order of sums."""
    for name, devices in (("one", 1), ("two", 2)):
        config = make_config(steps=3, devices=devices, device="cpu", save_every=3)
        done = start(config, discs, tmp_path / name, tmp_path / "run.py")
        output, _ = done.communicate()
        assert done.returncode == 0, output
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, rtol=1e-4, atol=2e-5, msg=key)


def test_blend_takes_part_of_each(run: Run, make_config: Make, tiny_file: Path) -> None:
    tuned, half = run(make_config(), "tuned"), run(make_config(blend=0.5), "half")
    assert tuned.model is not None
    assert half.model is not None
    before, whole, mixed = load_file(tiny_file), load_file(tuned.model), load_file(half.model)
    # Not of the IoU head: that is fitted once more afterwards.
    name = "mask_decoder.mask_tokens.weight"
    torch.testing.assert_close(mixed[name], (before[name] + whole[name]) / 2)


def test_it_stops_early(run: Run, make_config: Make) -> None:
    result = run(make_config(steps=50, patience=1, learning_rate=1e-9, val_every=1, save_every=50))
    assert result.stopped == "early"
    assert result.steps == 2
    assert result.best_step == 1


# What goes wrong


def test_no_masks(tmp_path: Path, run: Run, make_config: Make) -> None:
    for name in ("images", "labels"):
        (tmp_path / "empty" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((20, 20), dtype=np.uint8)).save(tmp_path / "empty" / name / "a.png")
    with pytest.raises(ConfigError, match="there is no mask to learn from in empty: 1 images"):
        run(make_config(), data=[FolderData("empty", tmp_path / "empty")])


def test_what_will_not_fit_is_refused_with_advice(
    run: Run, make_config: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(segany.train.plan, "available_bytes", lambda device: 10**8)
    with pytest.raises(ConfigError, match=r"needs about .* GB of memory and 0.1 GB are free: .*use --tune decoder"):
        run(make_config(tune="full"))
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert run(make_config(tune="full"), unchecked=True).model is not None


def test_a_loss_that_is_no_number_stops_and_names_the_image(
    run: Run, make_config: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = segany.train.tasks.Interactive.parts

    def broken(self: Any, number: int) -> Any:
        for part in whole(self, number):
            yield part._replace(loss=part.loss * float("nan")) if number == 7 else part

    monkeypatch.setattr(segany.train.tasks.Interactive, "parts", broken)
    with pytest.raises(
        TrainingError, match=r"loss of step 4 is nan at discs/\d\.png. The checkpoint of step 2 is kept"
    ):
        run(make_config(keep_weight=0.0))
    monkeypatch.undo()
    listed = json.loads((tmp_path / "run" / "checkpoints.json").read_text(encoding="utf-8"))
    assert [one["step"] for one in listed["checkpoints"]] == [2, 0]
    assert run(make_config(keep_weight=0.0)).steps == 4


def test_a_damaged_checkpoint_is_refused_and_the_older_one_serves(run: Run, make_config: Make, tmp_path: Path) -> None:
    config = make_config(steps=6)
    stops = iter([False, False, False, True])
    run(config, cancelled=lambda: next(stops))
    newest = tmp_path / "run" / "checkpoint-0000004.pt"
    newest.write_bytes(newest.read_bytes()[:-9])
    with pytest.raises(
        CheckpointError, match=r"checkpoint-0000004\.pt is damaged: .* Delete it, and the run goes on from step 2"
    ):
        run(config)
    newest.unlink()
    run(config)
    run(config, "whole")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_another_run_in_the_folder_is_refused(run: Run, make_config: Make, tmp_path: Path) -> None:
    run(make_config(), cancelled=lambda: True)
    with pytest.raises(ConfigError, match="holds a run with other settings or other data"):
        run(make_config(seed=3))
    run(make_config())
    with pytest.raises(ConfigError, match="holds the result of a run with other settings"):
        run(make_config(seed=3))


def test_a_full_disk_keeps_the_last_checkpoint(
    run: Run, make_config: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = make_config(steps=6)
    stops = iter([False, True])
    run(config, cancelled=lambda: next(stops))

    def full(path: Path, data: bytes) -> None:
        raise OutputError(errno.ENOSPC, f"cannot write {path}: No space left on device.")

    monkeypatch.setattr(segany.train.checkpoints, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        run(config)
    monkeypatch.undo()
    run(config)
    run(config, "whole")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_one_class_only_is_fine(run: Run, make_config: Make, discs: Path) -> None:
    assert {one.category for record in open_dataset(discs).records() for one in record.annotations} == {"cat", "dog"}
    document = json.loads((discs / "instances.json").read_text(encoding="utf-8"))
    document["annotations"] = [one for one in document["annotations"] if one["category_id"] == 1]
    (discs / "instances.json").write_text(json.dumps(document), encoding="utf-8")
    assert run(make_config(steps=1), data=[FolderData("cats", discs)]).model is not None
