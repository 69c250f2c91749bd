"""Which model a store works with, and what is kept with the store for it."""

from pathlib import Path

from segany.engine.classes import ClassNames
from segany.engine.confidence import Confidence
from segany.errors import ConfigError
from segany.predict.choose import MaskChooser
from segany.store import Store

__all__ = ["DEFAULT_MODEL", "checkpoint_of", "class_names", "confidence", "keep", "mask_chooser", "model_in_use"]

DEFAULT_MODEL = "mobile_sam"

CHOOSER = "engine.chooser"
CONFIDENCE = "engine.confidence"
CLASSES = "engine.class_names"


def model_in_use(store: Store) -> str:
    """What `Predictor` loads for this store: the promoted model's checkpoint, or MobileSAM while none was promoted.

    Raises:
        ConfigError: The promoted model's checkpoint is not there any more.
    """
    card = store.models.promoted
    return DEFAULT_MODEL if card is None else checkpoint_of(store, card.digest)


def checkpoint_of(store: Store, digest: str) -> str:
    """The file, or the name, of a model whose card the store has.

    Raises:
        NotInStoreError: It has none.
        ConfigError: The file is not there any more.
    """
    card = store.models.get(digest)
    model = str(card.config.get("model", card.name))
    if Path(model).suffix and not Path(model).is_file():
        raise ConfigError(
            f"the checkpoint {model} of {card.name} is gone; put it back, or go on with another model: "
            "segany engine rollback."
        )
    return model


def mask_chooser(store: Store) -> MaskChooser:
    """What the project's accepted masks taught; a new one at the start."""
    value = store.collection.value(CHOOSER)
    return MaskChooser() if value is None else MaskChooser.from_dict(value)


def confidence(store: Store) -> Confidence | None:
    """What reviews of automatic masks taught, or None while too few were reviewed."""
    value = store.collection.value(CONFIDENCE)
    return None if value is None else Confidence.from_dict(value)


def class_names(store: Store) -> ClassNames | None:
    """What named objects taught, or None."""
    value = store.collection.value(CLASSES)
    return None if value is None else ClassNames.from_dict(value)


def keep(store: Store, what: MaskChooser | Confidence | ClassNames | None, key: str, *, actor: str) -> None:
    """Keep one of these with the store; None forgets it.

    Args:
        store: Where.
        what: The value.
        key: `CHOOSER`, `CONFIDENCE` or `CLASSES`.
        actor: Who does.
    """
    store.collection.set_value(key, None if what is None else what.to_dict(), actor=actor)
