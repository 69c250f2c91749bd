"""The data engine's course: for people who want to see whether it pays."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from segany.engine.promotion import PROMOTED, REFUSED
from segany.engine.rounds import ROUND
from segany.engine.tasks import BLIND, OPEN
from segany.serve.routes._shared import Here, json_reply, new_router
from segany.store import Event, Job, Store
from segany.wire import DecisionReply, EngineReply, RoundReply, SpanReply, VerdictReply

__all__ = ["router"]

router = new_router("engine")
_MOST_ROUNDS = 200
_MOST_DECISIONS = 200


@router.get("/engine", response_model=EngineReply)
async def engine(here: Here) -> Response:
    """Masks over time, seconds per mask, rounds of learning, and which models were promoted or refused."""
    return json_reply(await here.reading.run(_course, here.store))


def _course(store: Store) -> EngineReply:
    timeline = store.timeline()
    events = [*store.events.list(kind=PROMOTED), *store.events.list(kind=REFUSED)]
    rounds = store.jobs.list(kinds=[ROUND], limit=_MOST_ROUNDS, newest_first=True)
    return EngineReply(
        span_seconds=timeline.seconds,
        spans=[SpanReply(**{**vars(each), "sources": dict(each.sources)}) for each in timeline.spans],
        undated=timeline.undated,
        seconds_per_mask=timeline.seconds_per_mask,
        rounds=[_round(job) for job in rounds],
        decisions=[_decision(each) for each in sorted(events, key=lambda event: -event.id)[:_MOST_DECISIONS]],
        tasks=store.jobs.counts([OPEN, BLIND, "annotate", "review"]),
    )


def _round(job: Job) -> RoundReply:
    result: Mapping[str, Any] = job.result or {}
    return RoundReply(
        job=job.id,
        version=job.payload.get("version"),
        state=job.state,
        message=job.message,
        error=job.error,
        accepted=result.get("accepted"),
        promoted=result.get("promoted"),
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def _decision(event: Event) -> DecisionReply:
    said = event.details
    return DecisionReply(
        id=event.id,
        at=event.at,
        actor=event.actor,
        promoted=event.kind == PROMOTED,
        candidate=said["candidate"],
        incumbent=said["incumbent"],
        says=said.get("says", []),
        verdicts=[
            VerdictReply(**{**each, "low": each["difference"]["low"], "high": each["difference"]["high"]})
            for each in said.get("verdicts", [])
        ],
    )
