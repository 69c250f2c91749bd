/** Reviewing: the masks that wait for a decision, one after the other, image after image. */

import { computed, signal } from "@preact/signals";
import type { Annotation, ReviewState } from "../words";
import { api } from "./api";
import { open } from "./browsing";
import { review } from "./editing";
import { annotations, complain, current, say, screen, selected } from "./state";

const passed = signal<ReadonlySet<string>>(new Set());
const nameOf = (each: Annotation) => `${current.value?.id}/${each.id}`;

/** What is not decided, and was not passed over. */
export const undecided = computed(() =>
  annotations.value.filter((each) => each.review_state === "unreviewed" && !passed.value.has(nameOf(each))),
);

/** The mask that is looked at: the selected one, or the first that waits. */
export const reviewed = computed<Annotation | null>(() => {
  const chosen = annotations.value.find(({ id }) => id === selected.value[0]);
  return chosen ?? undecided.value[0] ?? null;
});

export async function decide(to: ReviewState): Promise<void> {
  const now = reviewed.peek();
  if (!now) {
    await onward();
    return;
  }
  if (review(to, [now.id]) && to !== "unreviewed") {
    passed.value = new Set([...passed.peek(), nameOf(now)]);
    await onward();
  }
}

/** Later. */
export async function passOver(): Promise<void> {
  const now = reviewed.peek();
  if (now) passed.value = new Set([...passed.peek(), nameOf(now)]);
  await onward();
}

async function onward(): Promise<void> {
  const next = undecided.peek()[0];
  selected.value = next ? [next.id] : [];
  if (!next) await nextImage();
}

async function nextImage(): Promise<void> {
  const from = current.peek()?.id ?? 0;
  try {
    const page = await api.records(from, 1, "unreviewed");
    const next = page.records[0];
    if (!next) say("No further image waits for a review");
    else {
      await open(next.id);
      selected.value = undecided.peek()[0] ? [undecided.peek()[0]!.id] : [];
    }
  } catch (error) {
    complain(error);
  }
}

export async function startReview(): Promise<void> {
  screen.value = "review";
  passed.value = new Set();
  if (!selected.peek().length) await onward();
}
