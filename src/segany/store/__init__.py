"""The dataset store: images, masks and everything known of them; nothing is ever lost.

A store is opened by `segany.engine.open_store`, which brings the ingest steps that its policy may name.
"""

from segany.store._batch import AddReport
from segany.store._incoming import Incoming
from segany.store._reading import StoredRecord
from segany.store.check import CheckReport, Finding
from segany.store.collection import CategoryInfo
from segany.store.events import Event
from segany.store.garbage import GarbageReport
from segany.store.ingest import Decision, IngestStep, Policy
from segany.store.jobs import Job, JobState
from segany.store.records import PastAnnotation, RecordSummary
from segany.store.review import REVIEW_ACTIONS, REVIEW_TABLE, ReviewAction
from segany.store.runner import JobContext, JobHandler, JobRunner
from segany.store.splits import SplitReport
from segany.store.stats import StoreStats, plot_stats
from segany.store.store import Store, create_store
from segany.store.timeline import Span, Timeline
from segany.store.users import ROLES, AccessKey, Role, User
from segany.store.versions import Difference, FrozenVersion, RecordChange

__all__ = [
    "REVIEW_ACTIONS",
    "REVIEW_TABLE",
    "ROLES",
    "AccessKey",
    "AddReport",
    "CategoryInfo",
    "CheckReport",
    "Decision",
    "Difference",
    "Event",
    "Finding",
    "FrozenVersion",
    "GarbageReport",
    "Incoming",
    "IngestStep",
    "Job",
    "JobContext",
    "JobHandler",
    "JobRunner",
    "JobState",
    "PastAnnotation",
    "Policy",
    "RecordChange",
    "RecordSummary",
    "ReviewAction",
    "Role",
    "Span",
    "SplitReport",
    "Store",
    "StoreStats",
    "StoredRecord",
    "Timeline",
    "User",
    "create_store",
    "plot_stats",
]
