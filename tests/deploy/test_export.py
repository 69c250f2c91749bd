"""Export on a tiny random model: the graphs answer as torch does, in every precision; folders appear whole."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany.deploy import (
    PAGE_GRAPHS,
    PRECISIONS,
    ExportCard,
    ONNXBackend,
    Precision,
    _agreement,
    _onnx,
    export,
    export_graphs,
    open_exported,
    read_card,
)
from segany.errors import (
    CheckpointError,
    ConfigError,
    DeviceError,
    DigestError,
    EmbeddingError,
    PromptError,
    RecordError,
)
from segany.model import Sam, save_sam
from segany.predict import Predictor
from segany.predict.backends.fake import FakeBackend
from segany.predict.backends.torch import TorchBackend
from segany.schema import PromptBatch

pytest.importorskip("onnxscript", reason="needs the extra: pip install 'segany[export]'")

AGREEMENT = {"mask_iou_click": 1.0, "mask_iou_candidates": 1.0, "mask_iou_box": 1.0, "objects": 1, "images": 1}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, make_tiny: Callable[[], Sam]) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    save_sam(make_tiny(), path)
    return path


REAL_CHECK = _agreement.check_subjects


@pytest.fixture(scope="module", autouse=True)
def _measured_elsewhere() -> Iterator[None]:
    """The masks of random weights say nothing, and the sample photos need the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_measured", lambda *_: AGREEMENT)
        patch.setattr(_agreement, "check_subjects", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def folders(checkpoint: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for precision in PRECISIONS:
        found[precision] = checkpoint.parent / f"decoder-{precision}"
        export_graphs("decoder", checkpoint, found[precision], precision=precision)
    return found


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> Path:
    return export_graphs("encoder", checkpoint, checkpoint.parent / "encoder").folder


@pytest.fixture(scope="module")
def exact(make_tiny: Callable[[], Sam]) -> TorchBackend:
    return TorchBackend(make_tiny(), device="cpu")


def prompts() -> PromptBatch:
    """A click, two clicks, a box, a box with a click, and a click with the logits of an earlier answer."""
    coords = [[(40, 30), (0, 0)], [(40, 30), (90, 60), (0, 0)], [(10, 20), (80, 90)]]
    coords += [[(40, 30), (10, 20), (80, 90)], [(40, 30), (0, 0)]]
    labels = [[1, -1], [1, 0, -1], [2, 3], [1, 2, 3], [1, -1]]
    logits = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    arrays = tuple(np.array(one, dtype=np.float32) for one in coords)
    return PromptBatch(arrays, tuple(np.array(one, dtype=np.int32) for one in labels), (None,) * 4 + (logits,))


EVERY = np.array([(prompt, mask) for prompt in range(5) for mask in range(4)], dtype=np.int64)


# Of the largest logit. Random weights are not what int8 is made for.
@pytest.mark.parametrize(("precision", "off"), [("float32", 1e-4), ("float16", 1e-2), ("int8", 0.25)])
def test_the_graphs_answer_as_torch_does(
    folders: dict[str, Path], exact: TorchBackend, precision: str, off: float
) -> None:
    embedding = np.random.default_rng(1).normal(size=(1, 32, 8, 8)).astype(np.float32)
    runner = ONNXBackend(folders[precision], threads=1)
    wanted = exact.score(exact.features_from_numpy({"embedding": embedding}), prompts())
    found = runner.score(runner.features_from_numpy({"embedding": embedding}), prompts())
    np.testing.assert_allclose(found.iou_predictions, wanted.iou_predictions, atol=off)
    masks, own = exact.low_res(wanted, EVERY), runner.low_res(found, EVERY)
    assert own.shape == masks.shape
    np.testing.assert_allclose(own, masks, atol=off * np.abs(masks).max())


def test_encoder_and_decoder_make_a_predictor(folders: dict[str, Path], encoder: Path, exact: TorchBackend) -> None:
    image = np.random.default_rng(2).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    predictor = open_exported(folders["float32"], encoder, threads=1)
    embedding = predictor.embed(image)
    wanted = Predictor(backend=exact).embed(image)
    found, exactly = (one.features.to_numpy()["embedding"] for one in (embedding, wanted))
    np.testing.assert_allclose(found, exactly, atol=1e-4)
    assert embedding.backend_key != ONNXBackend(folders["float32"], threads=1).key


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from segany import Prompt
from segany.deploy import open_exported
predictor = open_exported(sys.argv[1], sys.argv[2], threads=1)
print(predictor.predict(predictor.embed(sys.argv[3]), Prompt(points=[[30, 40]])).best().size)
"""


def test_a_predictor_needs_no_torch(folders: dict[str, Path], encoder: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((60, 50, 3), np.uint8)).save(tmp_path / "photo.png")
    given = map(str, (folders["float32"], encoder, tmp_path / "photo.png"))
    command = [sys.executable, "-c", WITHOUT_TORCH, *given]
    assert subprocess.check_output(command, text=True) == "60x50 (height x width)\n"


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_a_smaller_encoder_runs(checkpoint: Path, tmp_path: Path, encoder: Path, precision: Precision) -> None:
    made = export_graphs("encoder", checkpoint, tmp_path / "encoder", precision=precision)
    assert made.card.graphs["encoder"].bytes < read_card(encoder).graphs["encoder"].bytes
    image = np.random.default_rng(2).integers(0, 256, (128, 96, 3), dtype=np.uint8)
    exact, own = (
        ONNXBackend(encoder=folder, threads=1).encode([image])[0].to_numpy() for folder in (encoder, made.folder)
    )
    difference = own["embedding"] - exact["embedding"]
    assert 0 < np.linalg.norm(difference) < 0.2 * np.linalg.norm(exact["embedding"])


def test_the_card_says_what_it_was_made_from(folders: dict[str, Path], exact: TorchBackend) -> None:
    card = read_card(folders["int8"])
    assert isinstance(card, ExportCard)
    assert (card.kind, card.model, card.precision) == ("decoder", "tiny", "int8")
    assert (card.model_digest, card.encoder_digest) == (exact.model_digest, exact.encoder_digest)
    assert card.agreement == AGREEMENT
    assert card.graphs["decode"].inputs["coords"] == ("float32", (1, "tokens", 2))
    assert card.graphs["decode"].outputs["logits"] == ("float32", (1, 4, 32, 32))
    assert card.digest != read_card(folders["float32"]).digest


def test_a_file_that_was_changed_is_refused(checkpoint: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folders["float32"].iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "decode.onnx").write_bytes(b"another")
    with pytest.raises(DigestError, match=r"decode.onnx in .* is not the file that its card names; export again"):
        ONNXBackend(copy)
    card = json.loads((copy / "card.json").read_text(encoding="utf-8"))
    card["graphs"]["decode"]["file"] = "../float32/decode.onnx"
    (copy / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(DigestError):
        read_card(copy)
    with pytest.raises(CheckpointError, match="holds no export of this version"):
        read_card(tmp_path)


def test_an_export_is_replaced_and_nothing_else_is(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    message = "is there already and not empty; give a new folder"
    with pytest.raises(ConfigError, match=f"mine {message}"):
        export_graphs("encoder", checkpoint, tmp_path / "mine")
    export_graphs("encoder", checkpoint, tmp_path / "out")
    before = read_card(tmp_path / "out")
    # An export, and a file of somebody's.
    letter = tmp_path / "out" / "letter.txt"
    letter.write_text("dear", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"out {message}"):
        export_graphs("encoder", checkpoint, tmp_path / "out")
    letter.unlink()

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export, "_measured", broken)
        with pytest.raises(KeyboardInterrupt):
            export_graphs("encoder", checkpoint, tmp_path / "out", precision="int8")
    assert read_card(tmp_path / "out") == before
    export_graphs("encoder", checkpoint, tmp_path / "out", precision="int8")
    assert read_card(tmp_path / "out").precision == "int8"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


def test_the_folder_is_named_for_what_it_holds(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export_graphs("encoder", checkpoint).folder == Path("tiny-encoder-float32")
    assert sorted(path.name for path in Path("tiny-encoder-float32").iterdir()) == ["card.json", "encoder.onnx"]


def test_what_cannot_be_run_is_told(folders: dict[str, Path], encoder: Path) -> None:
    with pytest.raises(ConfigError, match="an exported decoder, an exported encoder, or both; got neither"):
        ONNXBackend()
    with pytest.raises(CheckpointError, match="holds an exported encoder, not decoder"):
        ONNXBackend(encoder)
    with pytest.raises(DeviceError, match=r"this ONNX Runtime has no NoSuchProvider; it has: .*CPUExecutionProvider"):
        ONNXBackend(folders["float32"], providers=["NoSuchProvider"])
    alone = ONNXBackend(folders["float32"], threads=1)
    with pytest.raises(EmbeddingError, match="has a decoder only"):
        alone.encode([np.zeros((8, 8, 3), np.uint8)])
    features = alone.features_from_numpy({"embedding": np.zeros((1, 32, 8, 8), np.float32)})
    nothing = PromptBatch((np.empty((0, 2), np.float32),), (np.empty(0, np.int32),), (np.zeros((32, 32), np.float32),))
    with pytest.raises(PromptError, match="prompt 0: an exported decoder needs a point or a box"):
        alone.score(features, nothing)
    with pytest.raises(ConfigError, match="has an encoder only"):
        ONNXBackend(encoder=encoder, threads=1).score(features, prompts())
    with pytest.raises(EmbeddingError, match="needs an embedding"):
        alone.features_from_numpy({})


def test_an_unknown_precision_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="precision must be one of float32, float16, int8, got 'half'"):
        export_graphs("decoder", checkpoint, tmp_path / "out", precision="half")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="kind must be one of decoder, encoder, got 'all'"):
        export_graphs("all", checkpoint, tmp_path / "out")  # type: ignore[arg-type]


def test_what_the_page_runs_is_exported_alone_and_not_measured(
    checkpoint: Path, tmp_path: Path, folders: dict[str, Path]
) -> None:
    card = export_graphs("decoder", checkpoint, tmp_path / "page", for_page=True).card
    assert (tuple(card.graphs), card.agreement, card.agreement_line) == (PAGE_GRAPHS, {}, "agreement: not measured")
    assert read_card(tmp_path / "page").graphs.keys() == set(PAGE_GRAPHS)
    whole = read_card(folders["float32"]).graphs
    for name in PAGE_GRAPHS:
        assert card.graphs[name].inputs == whole[name].inputs
    runner = ONNXBackend(tmp_path / "page", threads=1)
    features = runner.features_from_numpy({"embedding": np.zeros((1, 32, 8, 8), np.float32)})
    with pytest.raises(ConfigError, match="prompt 4: a decoder for the page takes no earlier logits"):
        runner.score(features, prompts())
    with pytest.raises(ConfigError, match="the annotation page runs the decoder only, and kind is 'encoder'"):
        export_graphs("encoder", checkpoint, tmp_path / "encoder", for_page=True)


def test_a_large_graph_has_its_weights_beside_it_once(
    checkpoint: Path, tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_onnx, "_LARGEST_FILE", 1000)
    whole, quantised = (
        export_graphs("encoder", checkpoint, tmp_path / precision, precision=precision).folder
        for precision in ("float32", "int8")
    )
    sizes = {folder.name: (folder / "encoder.onnx.data").stat().st_size for folder in (whole, quantised)}
    assert sizes["int8"] < sizes["float32"] <= read_card(encoder).graphs["encoder"].bytes
    pixels = np.zeros((128, 128, 3), np.uint8)
    found, wanted = (
        ONNXBackend(encoder=folder, threads=1).encode([pixels])[0].to_numpy() for folder in (whole, encoder)
    )
    np.testing.assert_array_equal(found["embedding"], wanted["embedding"])
    # And it is replaced as a whole.
    export_graphs("encoder", checkpoint, whole, precision="float16")
    assert read_card(whole).precision == "float16"


def test_data_that_cannot_be_had_is_told_before_anything_is_exported(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("minutes were spent")

    monkeypatch.setattr(export, "_write", never)
    monkeypatch.setattr(_agreement, "check_subjects", REAL_CHECK)
    with pytest.raises(RecordError, match="nowhere"):
        export_graphs("encoder", checkpoint, tmp_path / "out", data=tmp_path / "nowhere")
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "photos" / "one.png")
    with pytest.raises((ConfigError, RecordError)):
        export_graphs("encoder", checkpoint, tmp_path / "out", data=tmp_path / "photos")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_who_asks_itself_agrees(tmp_path: Path) -> None:
    from segany.formats.sa1b import write_record
    from segany.masks import RLE
    from segany.schema import Annotation, Record
    from segany.sources import open_image

    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "one.png")
    mask = np.zeros((64, 64), np.bool_)
    mask[10:40, 20:50] = True
    info = open_image(tmp_path / "one.png").info
    write_record(Record(info, (Annotation(id=1, segmentation=RLE.from_mask(mask)),)), tmp_path / "one.json")
    same = Predictor(backend=FakeBackend())
    found = _agreement.measure(same, encoding=same, decoding=same, data=tmp_path, limit=5)
    assert (found["mask_iou_click"], found["objects"], found["images"]) == (1.0, 1, 1)
    with pytest.raises(RecordError):
        _agreement.measure(same, encoding=same, decoding=same, data=tmp_path / "nowhere", limit=5)
