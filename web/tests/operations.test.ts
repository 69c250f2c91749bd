import { expect, test } from "vitest";
import {
  added,
  applied,
  type Edit,
  EMPTY_HISTORY,
  inverse,
  merged,
  redone,
  request,
  reviewSteps,
  undone,
} from "../src/edits/operations";
import type { Annotation, AnnotationInput, ImageRecord } from "../src/words";

const said = (id: string, category: string | null = null): AnnotationInput => ({
  ...{ id, mask: { size: [4, 4], counts: "52203" }, category, source: "manual", iscrowd: false, predicted_iou: null },
  ...{ stability_score: null, prompts: [], seconds_spent: null, parent_id: null, model_digest: null },
});
const there = (id: string, category: string | null = null): Annotation => ({
  ...said(id, category),
  ...{ box: [1, 1, 2, 3], area: 2, review_state: "accepted", annotator: "ann", created_at: null },
});
const edit = (changes: Edit["changes"], steps: Edit["steps"] = []): Edit => ({ label: "an edit", changes, steps });

test("an edit is shown before it is saved, and what was reviewed waits for a review again", () => {
  const change = edit([
    { id: "a", before: said("a"), after: said("a", "cup") },
    { id: "b", before: said("b"), after: null },
    { id: "c", before: null, after: said("c") },
  ]);
  const now = applied([there("a"), there("b"), there("d")], change);
  expect(now.map(({ id, category, review_state }) => [id, category, review_state])).toEqual([
    ["a", "cup", "unreviewed"],
    ["d", null, "accepted"],
    ["c", null, "unreviewed"],
  ]);
  expect(now[0]!.annotator).toBe("ann");
});

test("undone, everything that is said is as it was", () => {
  const change = edit([
    { id: "a", before: said("a"), after: said("a", "cup") },
    { id: "b", before: said("b", "dog"), after: null },
  ]);
  const before = [there("a"), there("b", "dog")];
  const back = applied(applied(before, change), inverse(change));
  expect(back.map(({ id, category }) => [id, category])).toEqual([["a", null], ["b", "dog"]]);
});

test("undo, undo, redo, and a new edit forgets what was undone", () => {
  const [one, two, three] = ["1", "2", "3"].map((label) => ({ ...edit([]), label }));
  let history = added(added(EMPTY_HISTORY, one!), two!);
  const last = undone(history)!;
  expect(last.edit.label).toBe("2");
  history = undone(last.history)!.history;
  expect(undone(history)).toBeNull();
  const again = redone(history)!;
  expect(again.edit.label).toBe("1");
  history = added(again.history, three!);
  expect(redone(history)).toBeNull();
  expect(history.edits.map(({ label }) => label)).toEqual(["1", "3"]);
});

test("what others removed is not removed again", () => {
  const gone = edit([{ id: "a", before: said("a"), after: null }, { id: "b", before: said("b"), after: null }]);
  expect(request(gone, new Set(["b"]))).toEqual({ put: [], remove: ["b"] });
});

test("a rejected mask is reopened before it is accepted", () => {
  expect(reviewSteps([{ id: "a", from: "rejected", to: "accepted" }, { id: "b", from: "unreviewed", to: "accepted" }])).toEqual([
    [{ id: "a", action: "reopen" }],
    [{ id: "a", action: "accept" }, { id: "b", action: "accept" }],
  ]);
  expect(reviewSteps([{ id: "a", from: "rejected", to: "unreviewed" }])).toEqual([[{ id: "a", action: "reopen" }]]);
});

test("what an edit put is merged into the record that it was made on", () => {
  const annotation = (id: string, area: number) => ({ id, area }) as unknown as Annotation;
  const record = (revision: number, ...annotations: Annotation[]) =>
    ({ id: 1, revision, annotations }) as unknown as ImageRecord;
  const base = record(4, annotation("a", 1), annotation("b", 1), annotation("c", 1));
  const saved = { ...record(5, annotation("c", 2), annotation("d", 2)), partial: true };
  const found = merged(base, saved, ["a"]);
  expect(found.annotations.map(({ id, area }) => `${id}${area}`)).toEqual(["b1", "c2", "d2"]);
  expect([found.revision, found.partial]).toEqual([5, false]);
  expect(base.annotations.length).toBe(3);
});
