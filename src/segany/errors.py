"""One tree of exceptions; every error says what was wanted, what came and what to do.

SeganyError
├── InputError (also a ValueError)     something the caller gave is wrong
│   ├── ImageError                     not an image, truncated, empty, over the pixel limit
│   ├── PromptError                    a click, box or mask prompt that cannot be meant
│   ├── MaskError                      a mask, polygon or run-length encoding that is not valid
│   ├── RecordError                    an annotation or a record file that is not valid
│   ├── ConfigError                    a setting, option or config value out of range or unknown
│   └── DeviceError                    a device or precision that this machine does not have
├── WeightsError                       weights that cannot be had or cannot be trusted
│   ├── UnknownWeightsError            no entry of that name (the nearest names are given)
│   ├── WeightsNotFoundError           in no source; says what to put where
│   ├── DigestError                    the file is not the one that the registry pins
│   └── CheckpointError                readable, but not this model's parameters; or not data only
├── EmbeddingError                     an embedding that was made from something else
├── MissingExtraError                  an optional dependency is not installed
└── OutputError (also an OSError)      a result could not be written; nothing half-written is left
"""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DeviceError",
    "DigestError",
    "EmbeddingError",
    "ImageError",
    "InputError",
    "MaskError",
    "MissingExtraError",
    "OutputError",
    "PromptError",
    "RecordError",
    "SeganyError",
    "UnknownWeightsError",
    "WeightsError",
    "WeightsNotFoundError",
]


class SeganyError(Exception):
    """Base of every error that segany raises on purpose."""


class InputError(SeganyError, ValueError):
    """Something the caller gave is wrong."""


class ImageError(InputError):
    """A file or array that is no usable image."""


class PromptError(InputError):
    """A click, box or mask prompt that cannot be meant."""


class MaskError(InputError):
    """A mask, polygon or run-length encoding that is not valid."""


class RecordError(InputError):
    """An annotation or a record file that is not valid."""


class ConfigError(InputError):
    """A setting, option or config value that is out of range or unknown."""


class DeviceError(InputError):
    """A device or precision that this machine does not have."""


class WeightsError(SeganyError):
    """Weights that cannot be had or cannot be trusted."""


class UnknownWeightsError(WeightsError, InputError):
    """No registry entry has that name."""


class WeightsNotFoundError(WeightsError):
    """No source has the file."""


class DigestError(WeightsError):
    """The file is not the one that the registry pins."""


class CheckpointError(WeightsError):
    """The file does not hold this model's parameters, or holds more than data."""


class EmbeddingError(SeganyError):
    """An embedding that was made from another image, model, backend or precision."""


class MissingExtraError(SeganyError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        """Say which extra of the package brings the missing dependency.

        Args:
            what: What needed it, as the subject of a sentence: "Reading DICOM".
            extra: The extra's name: "medical".
        """
        super().__init__(f"{what} needs an optional part. Install it: pip install 'segany[{extra}]'")
        self.extra = extra


class OutputError(SeganyError, OSError):
    """A result could not be written; nothing half-written is left behind."""
