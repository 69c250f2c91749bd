/** Operations: what a person did to a record, as it is queued, shown before it is saved, and undone. */

import { Shape } from "../masks/shape";
import type { Annotation, AnnotationInput, Id, ImageRecord, ReviewAction, ReviewState } from "../words";

/** The annotation before and after; null where there was or is none. */
export interface Change {
  id: Id;
  before: AnnotationInput | null;
  after: AnnotationInput | null;
}

export interface Step {
  id: Id;
  from: ReviewState;
  to: ReviewState;
}

/** One edit, which is undone as one. */
export interface Edit {
  label: string;
  changes: Change[];
  steps: Step[];
}

/** An edit on its way to the server, in the order in which it was made. */
export interface Operation extends Edit {
  /** The word under which the server makes it once. */
  key: string;
  record: number;
  /** Which image, and who: numbers of records mean something else in another store. */
  digest: string;
  user: string;
  /** The revision that was seen when it was made; of those that wait, the first one's counts. */
  base: number;
  /** Rising. */
  order: number;
}

export interface History {
  edits: Edit[];
  /** How many of them are done; the others were undone. */
  done: number;
}

export const EMPTY_HISTORY: History = { edits: [], done: 0 };
const LONGEST_HISTORY = 200;

/** What the page may say of an annotation, and nothing else of it. */
export function input(annotation: AnnotationInput): AnnotationInput {
  const { id, mask, category, source, iscrowd, predicted_iou, stability_score } = annotation;
  const prompts = annotation.prompts.map((prompt) =>
    Object.fromEntries(Object.entries(prompt).filter(([name, value]) => value !== null && name !== "logits")),
  );
  const { seconds_spent, parent_id, model_digest } = annotation;
  return {
    ...{ id, mask, category, source, iscrowd, predicted_iou, stability_score },
    ...{ prompts, seconds_spent, parent_id, model_digest },
  };
}

export function applied(annotations: readonly Annotation[], edit: Edit): Annotation[] {
  const out = [...annotations];
  for (const { id, after } of edit.changes) {
    const place = out.findIndex((each) => each.id === id);
    if (!after) {
      if (place >= 0) out.splice(place, 1);
      continue;
    }
    const shape = Shape.of(after.mask);
    const before = out[place] ?? { annotator: null, created_at: null };
    const now = { ...before, ...after, box: shape.box, area: shape.area, review_state: "unreviewed" as const };
    if (place >= 0) out[place] = now;
    else out.push(now);
  }
  for (const { id, to } of edit.steps) {
    const place = out.findIndex((each) => each.id === id);
    if (place >= 0) out[place] = { ...out[place]!, review_state: to };
  }
  return out;
}

export function inverse(edit: Edit): Edit {
  return {
    label: edit.label,
    changes: edit.changes.map(({ id, before, after }) => ({ id, before: after, after: before })),
    steps: edit.steps.map(({ id, from, to }) => ({ id, from: to, to: from })),
  };
}

/** What is put and removed; ids that are not `there` need no removing. */
export function request(edit: Edit, there?: ReadonlySet<Id>): { put: AnnotationInput[]; remove: Id[] } {
  return {
    put: edit.changes.flatMap(({ after }) => (after ? [after] : [])),
    remove: edit.changes.flatMap(({ id, after }) => (!after && (!there || there.has(id)) ? [id] : [])),
  };
}

const ACTION: Record<ReviewState, ReviewAction> = {
  unreviewed: "reopen",
  accepted: "accept",
  rejected: "reject",
  flagged: "flag",
};

export function reviewAction(to: ReviewState): ReviewAction {
  return ACTION[to];
}

/** What is asked one after the other: a rejected mask has to be reopened before anything else becomes of it. */
export function reviewSteps(steps: readonly Step[]): { id: Id; action: ReviewAction }[][] {
  const first = steps.filter(({ from, to }) => from === "rejected" && to !== "unreviewed");
  const rounds = [
    first.map(({ id }) => ({ id, action: "reopen" as const })),
    steps.map(({ id, to }) => ({ id, action: reviewAction(to) })),
  ];
  return rounds.filter((round) => round.length);
}

export function added(history: History, edit: Edit): History {
  const edits = [...history.edits.slice(0, history.done), edit].slice(-LONGEST_HISTORY);
  return { edits, done: edits.length };
}

/** The edit that undoes the last one, or null; and the history after it. */
export function undone(history: History): { edit: Edit; history: History } | null {
  const last = history.edits[history.done - 1];
  return last ? { edit: inverse(last), history: { ...history, done: history.done - 1 } } : null;
}

export function redone(history: History): { edit: Edit; history: History } | null {
  const next = history.edits[history.done];
  return next ? { edit: next, history: { ...history, done: history.done + 1 } } : null;
}

/** A record with what an edit put into it and took out of it. */
export function merged(base: ImageRecord, saved: ImageRecord, removed: readonly Id[]): ImageRecord {
  const put = new Map(saved.annotations.map((each) => [each.id, each]));
  const gone = new Set(removed);
  const kept = base.annotations.filter(({ id }) => !gone.has(id));
  const known = new Set(kept.map(({ id }) => id));
  const annotations = kept.map((each) => put.get(each.id) ?? each);
  annotations.push(...saved.annotations.filter(({ id }) => !known.has(id)));
  return { ...saved, annotations, partial: false };
}
