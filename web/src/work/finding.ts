/** Finding: everything in the open image, thresholds that move for free, and a click to keep. */

import { Shape } from "../masks/shape";
import type { Annotation, AnnotationInput } from "../words";
import type { Change } from "../edits/operations";
import { input } from "../edits/operations";
import { api } from "./api";
import { commit, inherit } from "./editing";
import { Latest } from "./latest";
import { annotations, complain, current, found, label, say, selected } from "./state";

const POLL_MS = 200;
/** Masks that overlap a kept one by more are the same object. */
const SAME = 0.8;

const selecting = new Latest(
  async (asked: { record: number; run: string; predictedIou: number; stability: number }) =>
    (
      await api.select(asked.record, asked.run, {
        pred_iou_thresh: asked.predictedIou,
        stability_score_thresh: asked.stability,
      })
    ).annotations,
  (masks, asked) => {
    const now = found.peek();
    if (now?.run === asked.run) found.value = { ...now, masks, pointed: null, done: 1 };
  },
  complain,
  40,
);

export async function findEverything(): Promise<void> {
  const record = current.peek();
  if (!record || found.peek()) return;
  const begun = { record: record.id, run: "", done: 0, masks: [], predictedIou: 0.88, stability: 0.95, pointed: null };
  found.value = begun;
  try {
    let run = await api.everything(record.id, true);
    for (;;) {
      const now = found.peek();
      if (!now || now.record !== record.id) return;
      found.value = { ...now, run: run.run, done: Math.min(run.done, 0.99) };
      if (run.state === "failed") throw new Error(run.message ?? "the search failed.");
      if (run.state === "done") break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      run = await api.everythingState(record.id, run.run);
    }
    const now = found.peek();
    if (now) selecting.want(now);
  } catch (error) {
    found.value = null;
    complain(error);
  }
}

/** Other thresholds. */
export function move(to: { predictedIou?: number; stability?: number }): void {
  const now = found.peek();
  if (!now) return;
  const next = { ...now, ...to };
  found.value = next;
  if (next.done === 1) selecting.want(next);
}

export function stopFinding(): void {
  const now = found.peek();
  found.value = null;
  if (now?.run && now.done < 1) void api.stopEverything(now.record, now.run).catch(() => undefined);
}

/** Point at the smallest mask there, or none. */
export function pointAtFound(x: number, y: number): void {
  const now = found.peek();
  if (!now) return;
  const pointed = now.masks.find(({ id }) => id === now.pointed);
  // A whole that was climbed to stays, for as long as the pointer is in it.
  if (pointed && Shape.of(pointed.mask).has(x, y) && climbed) return;
  climbed = false;
  const there = now.masks.filter((each) => Shape.of(each.mask).has(x, y)).sort((one, two) => one.area - two.area);
  const id = there[0]?.id ?? null;
  if (id !== now.pointed) found.value = { ...now, pointed: id };
}

let climbed = false;

/** From the part that is pointed at to its whole; from the last whole back to the part. */
export function climb(x: number, y: number): void {
  const now = found.peek();
  const part = now?.masks.find(({ id }) => id === now.pointed);
  if (!now || !part) return;
  if (part.parent_id !== null && now.masks.some(({ id }) => id === part.parent_id)) {
    climbed = true;
    found.value = { ...now, pointed: part.parent_id };
  } else {
    climbed = false;
    found.value = { ...now, pointed: null };
    pointAtFound(x, y);
  }
}

function kept(each: Annotation): AnnotationInput {
  return input({
    ...each,
    ...{ id: crypto.randomUUID(), category: label.peek(), source: "automatic", prompts: [], parent_id: null },
    seconds_spent: null,
  });
}

function changes(masks: Annotation[]): Change[] {
  const made = masks.map(kept);
  inherit(made);
  return made.map((after) => ({ id: after.id, before: null, after }));
}

export function keepPointed(): void {
  const now = found.peek();
  const pointed = now?.masks.find(({ id }) => id === now.pointed);
  if (!now || !pointed) return;
  const made = changes([pointed]);
  commit("Found mask kept", made);
  selected.value = made.map(({ id }) => id);
  found.value = { ...now, masks: now.masks.filter((each) => each !== pointed), pointed: null };
}

/** Every mask that is shown, but those of objects that have one. */
export function keepAll(): void {
  const now = found.peek();
  if (!now) return;
  const there = annotations.peek().map(({ mask }) => Shape.of(mask));
  const fresh = now.masks.filter((each) => !there.some((known) => overlap(known, Shape.of(each.mask)) > SAME));
  if (!fresh.length) {
    say("All of them are there already");
    return;
  }
  commit(`${fresh.length} found masks kept`, changes(fresh));
  found.value = { ...now, masks: [], pointed: null };
}

function overlap(one: Shape, two: Shape): number {
  const [a, b] = [one.box, two.box];
  if (a[0] >= b[2] || b[0] >= a[2] || a[1] >= b[3] || b[1] >= a[3]) return 0;
  const union = one.union(two).area;
  return (one.area + two.area - union) / union;
}
