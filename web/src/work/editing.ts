/** Editing: every change of the open image goes through `commit`, which queues it and remembers how to undo it. */

import { keep } from "../edits/keep";
import { added, type Change, type Edit, EMPTY_HISTORY, input, redone, type Step, undone } from "../edits/operations";
import type { Annotation, AnnotationInput, Id, Mask, ReviewState } from "../words";
import { api } from "./api";
import {
  annotations,
  canReview,
  complain,
  current,
  history,
  inherited,
  label,
  say,
  selected,
  session,
  stopwatch,
  sync,
} from "./state";

const historyName = () => {
  const record = current.peek();
  return `${session.peek()?.user?.name ?? "local"}/${record?.id}/${record?.image.digest}`;
};

export async function loadHistory(): Promise<void> {
  history.value = await keep.history(historyName()).catch(() => EMPTY_HISTORY);
}

function setHistory(next: typeof history.value): void {
  history.value = next;
  void keep.setHistory(historyName(), next).catch(() => undefined);
}

function queue(edit: Edit): void {
  const record = current.peek();
  if (!record) return;
  const before = sync.of(record.id).at(-1);
  sync.add({
    ...edit,
    key: crypto.randomUUID(),
    record: record.id,
    digest: record.image.digest ?? "",
    user: session.peek()?.user?.name ?? "local",
    base: before?.base ?? record.revision,
    order: Date.now(),
  });
}

/** Make an edit; it can be undone from then on. */
export function commit(words: string, changes: Change[], steps: Step[] = []): void {
  if (!changes.length && !steps.length) return;
  const edit: Edit = { label: words, changes, steps };
  queue(edit);
  setHistory(added(history.peek(), edit));
  say(words);
}

export function undo(): void {
  step(undone(history.peek()), "Undone", "Nothing to undo");
}

export function redo(): void {
  step(redone(history.peek()), "Redone", "Nothing to redo");
}

function step(next: ReturnType<typeof undone>, words: string, none: string): void {
  if (!next) {
    say(none);
    return;
  }
  queue({ ...next.edit, label: `${words}: ${next.edit.label}` });
  setHistory(next.history);
  const there = next.edit.changes.filter(({ after }) => after).map(({ id }) => id);
  if (there.length) selected.value = there;
  say(`${words}: ${next.edit.label}`);
}

/** What was undoable is gone once someone else's version was taken. */
export function forgetHistory(): void {
  setHistory(EMPTY_HISTORY);
}

/** The record as it was at a revision. */
export async function restore(revision: number): Promise<void> {
  const record = current.peek();
  if (!record || sync.of(record.id).length) {
    say("Wait until everything is saved", true);
    return;
  }
  try {
    const now = await api.restore(record.id, { revision, expected: record.revision, key: crypto.randomUUID() });
    forgetHistory();
    current.value = now;
    sync.opened(now);
    say("Restored");
  } catch (error) {
    complain(error);
  }
}

/** Remember which of these new masks have a label only because the masks before them have it. */
export function inherit(made: AnnotationInput[]): void {
  const ids = made.filter(({ category }) => category !== null).map(({ id }) => id);
  if (ids.length) inherited.value = new Set([...inherited.peek(), ...ids]);
}

/** A new annotation, selected. */
export function create(
  words: string,
  mask: Mask,
  more: Partial<AnnotationInput> = {},
): AnnotationInput {
  const made: AnnotationInput = {
    ...{ id: crypto.randomUUID(), mask, category: label.peek(), source: "manual", iscrowd: false },
    ...{ predicted_iou: null, stability_score: null, prompts: [], parent_id: null, model_digest: null },
    ...more,
    seconds_spent: stopwatch.take(performance.now()),
  };
  const after = input(made);
  commit(words, [{ id: made.id, before: null, after }]);
  inherit([after]);
  selected.value = [made.id];
  return after;
}

/** Change an annotation; its working time grows. */
export function change(words: string, before: Annotation, now: Partial<AnnotationInput>): void {
  const seconds = (before.seconds_spent ?? 0) + stopwatch.take(performance.now());
  const after = input({ ...before, ...now, seconds_spent: Math.round(seconds * 10) / 10 });
  commit(words, [{ id: before.id, before: input(before), after }]);
}

export function chosen(): Annotation[] {
  const ids = selected.peek();
  const all = annotations.peek();
  return ids.flatMap((id) => all.find((each) => each.id === id) ?? []);
}

export function remove(): void {
  const gone = chosen();
  if (!gone.length) return;
  commit(
    gone.length > 1 ? `${gone.length} masks deleted` : "Mask deleted",
    gone.map((each) => ({ id: each.id, before: input(each), after: null })),
  );
  selected.value = [];
}

export function name(category: string | null): void {
  label.value = category;
  inherited.value = new Set([...inherited.peek()].filter((id) => !selected.peek().includes(id)));
  const named = chosen().filter((each) => each.category !== category);
  if (!named.length) return;
  commit(
    category ? `Labelled ${category}` : "Label removed",
    named.map((each) => ({ id: each.id, before: input(each), after: input({ ...each, category }) })),
  );
}

/** Take a step of review with masks of the open image. */
export function review(to: ReviewState, ids: Id[] = selected.peek()): boolean {
  if ((to === "accepted" || to === "rejected") && !canReview.peek()) {
    say("Accepting and rejecting are for reviewers", true);
    return false;
  }
  const steps: Step[] = annotations
    .peek()
    .filter((each) => ids.includes(each.id) && each.review_state !== to)
    .map((each) => ({ id: each.id, from: each.review_state, to }));
  if (!steps.length) return false;
  commit(`Mask ${to}`, [], steps);
  return true;
}
