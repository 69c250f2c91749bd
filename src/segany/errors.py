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
├── StoreError                         a dataset store that cannot be used, or not for that
│   ├── ConflictError                  someone else changed it meanwhile; nothing of this edit was written
│   ├── NotInStoreError                no record, annotation, version, job or value of that name
│   ├── ReviewError                    a step that the review state does not allow
│   ├── PolicyError                    an ingest step that the collection names and nobody supplies
│   ├── JobLostError                   the lease of a job ran out and someone else may have it
│   └── JobCancelledError              the job was cancelled while it ran
├── ServiceError                       a server that does not do what was asked
│   ├── AccessError                    not signed in, or not allowed
│   ├── BusyError                      more than it can do now; says how long to wait
│   └── GoneError                      something that it kept for a while and forgot
├── TrainingError                      a run that cannot go on: a loss that is not a number
├── MissingExtraError                  an optional dependency is not installed
└── OutputError (also an OSError)      a result could not be written; nothing half-written is left
"""

__all__ = [
    "AccessError",
    "BusyError",
    "CheckpointError",
    "ConfigError",
    "ConflictError",
    "DeviceError",
    "DigestError",
    "EmbeddingError",
    "GoneError",
    "ImageError",
    "InputError",
    "JobCancelledError",
    "JobLostError",
    "MaskError",
    "MissingExtraError",
    "NotInStoreError",
    "OutputError",
    "PolicyError",
    "PromptError",
    "RecordError",
    "ReviewError",
    "SeganyError",
    "ServiceError",
    "StoreError",
    "TrainingError",
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


class StoreError(SeganyError):
    """A dataset store that cannot be used, or not for what was asked."""


class ConflictError(StoreError):
    """Someone else changed the record meanwhile; nothing of this edit was written."""

    def __init__(self, message: str, current: int) -> None:
        """Say which revision the record has now.

        Args:
            message: What happened, by whom, and what to do.
            current: The record's revision now; an edit made on what it holds may be saved.
        """
        super().__init__(message)
        self.current = current


class NotInStoreError(StoreError):
    """The store holds no record, annotation, version, job or value of that name."""


class ReviewError(StoreError):
    """A step that the state of the review does not allow."""


class PolicyError(StoreError):
    """The collection's policy names an ingest step that nobody supplies."""


class JobLostError(StoreError):
    """The lease of a job ran out, and someone else may be working on it."""


class JobCancelledError(StoreError):
    """The job was cancelled while it ran."""


class ServiceError(SeganyError):
    """A server that does not do what was asked."""


class AccessError(ServiceError):
    """Not signed in, or not allowed."""


class BusyError(ServiceError):
    """More was asked than the server can do now."""

    def __init__(self, message: str, retry_after: float) -> None:
        """Say how long to wait.

        Args:
            message: What there is too much of.
            retry_after: Seconds after which it may be asked again.
        """
        super().__init__(message)
        self.retry_after = retry_after


class GoneError(ServiceError):
    """Something that the server kept for a while and forgot; ask for it anew."""


class TrainingError(SeganyError):
    """A training run that cannot go on; its last good checkpoint is kept."""


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
