/** Review: the image without and with one mask, side by side, and the decision. */

import { useEffect } from "preact/hooks";
import { passOver, decide, reviewed, undecided } from "../work/reviewing";
import { zoomToMask } from "../work/hotkeys";
import { canReview } from "../work/state";
import { stageSize } from "../stage/view";
import { Plain, Stage } from "./Stage";

export function Review() {
  const now = reviewed.value;
  useEffect(() => {
    if (now) zoomToMask();
  }, [now?.id, stageSize.value.width]);
  return (
    <main class="review" aria-label="Review">
      <div class="pair">
        <Plain />
        <Stage compare />
      </div>
      <div class="verdict" role="group" aria-label="Decision">
        <span class="verdict-what" role="status">
          {now ? (
            <>
              <strong>{now.category ?? "no label"}</strong> · {now.area.toLocaleString("en")} px · {now.source.replace("_", "-")}
              {now.annotator ? ` · ${now.annotator}` : ""} · <span class={`state ${now.review_state}`}>{now.review_state}</span> ·{" "}
              {undecided.value.length} left here
            </>
          ) : (
            "Nothing waits on this image."
          )}
        </span>
        <button type="button" class="accept" disabled={!now || !canReview.value} onClick={() => void decide("accepted")}>
          Accept <kbd aria-hidden="true">A</kbd>
        </button>
        <button type="button" class="reject" disabled={!now || !canReview.value} onClick={() => void decide("rejected")}>
          Reject <kbd aria-hidden="true">R</kbd>
        </button>
        <button type="button" disabled={!now} onClick={() => void decide("flagged")}>
          Flag <kbd aria-hidden="true">F</kbd>
        </button>
        <button type="button" disabled={!now} onClick={() => void decide("unreviewed")}>
          Reopen <kbd aria-hidden="true">U</kbd>
        </button>
        <button type="button" onClick={() => void passOver()}>
          Later <kbd aria-hidden="true">Space</kbd>
        </button>
      </div>
    </main>
  );
}
