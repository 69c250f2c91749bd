/** Naming: what the selected mask could be called; a label that a person gave is never touched. */

import { computed, effect, signal } from "@preact/signals";
import { input } from "../edits/operations";
import type { NameSuggestion } from "../words";
import { Advice, isSame, type Nameless, percent, worthwhile } from "./advice";
import { api } from "./api";
import { commit } from "./editing";
import { active, current, embedding, inherited, names, offline, say, screen, selected } from "./state";

const AGAIN_MS = 5000;

const answer = signal<{ about: Nameless; names: NameSuggestion[] } | null>(null);

/** The one selected mask, if nobody has said what it is: it has no label, or the one that masks were given before it. */
const nameless = computed<Nameless | null>(() => {
  const mask = active.value;
  const record = current.value;
  if (!mask || !record || selected.value.length > 1 || screen.value !== "annotate") return null;
  const isOpen = mask.category === null || inherited.value.has(mask.id);
  return isOpen ? { record: record.id, id: mask.id, mask: mask.mask } : null;
});

/** Names for it, the likeliest first. */
export const suggested = computed<NameSuggestion[]>(() => {
  const now = answer.value;
  return now && nameless.value && isSame(now.about, nameless.value) ? worthwhile(now.names) : [];
});

const advice = new Advice(
  async ({ record, id }) => (await api.names(record, id)).names,
  (found, about) => (answer.value = { about, names: found }),
  AGAIN_MS,
);

/** By its id a mask costs hardly a byte; the server has it when it is saved. */
const isSaved = ({ id, mask }: Nameless) =>
  current.value?.annotations.find((each) => each.id === id)?.mask.counts === mask.counts;

effect(() => {
  // With fewer labels there is nothing to tell apart; what waits to be embedded is not held up.
  const ready = names.value.length > 1 && embedding.value?.state === "ready" && !offline.value;
  const about = nameless.value;
  advice.about(ready && about && isSaved(about) ? about : null);
});

/** As a screen reader says it. */
export const spoken = computed(() => {
  const first = suggested.value[0];
  return first ? `Suggested label: ${first.name}, ${percent(first.confidence)} percent. Y gives it.` : "";
});

/** Give the selected mask a suggested label, and no other mask. */
export function take(name: string | undefined = suggested.peek()[0]?.name): void {
  const mask = active.peek();
  if (!mask || !nameless.peek() || name === undefined) {
    say("No label is suggested");
    return;
  }
  inherited.value = new Set([...inherited.peek()].filter((id) => id !== mask.id));
  if (mask.category === name) say(`Labelled ${name}`);
  else commit(`Labelled ${name}`, [{ id: mask.id, before: input(mask), after: input({ ...mask, category: name }) }]);
}
