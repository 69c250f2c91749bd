/** State: what the page shows, as signals. */

import { computed, effect, signal } from "@preact/signals";
import { keep } from "../edits/keep";
import { applied, EMPTY_HISTORY, type History, merged } from "../edits/operations";
import { type Conflict, type Refusal, Sync } from "../edits/sync";
import type { Ring } from "../masks/outline";
import type { Shape } from "../masks/shape";
import type {
  Annotation,
  Candidate,
  Category,
  Embedding,
  Id,
  ImageRecord,
  RecordSummary,
  Session,
  Task,
} from "../words";
import { api, type Edit } from "./api";
import { Stopwatch } from "./stopwatch";

export type Screen = "annotate" | "review" | "progress";
export type Tool = "point" | "box" | "brush" | "eraser" | "polygon" | "everything" | "hand";
export type Theme = "auto" | "light" | "dark";
export type Dialog = "help" | "export" | "history" | null;

export interface Hover {
  point: [number, number];
  candidates: Candidate[];
  /** Which of them is shown. */
  index: number;
  shape: Shape;
}

export interface Found {
  record: number;
  run: string;
  /** 0 to 1; 1 when it is done. */
  done: number;
  masks: Annotation[];
  predictedIou: number;
  stability: number;
  pointed: Id | null;
}

export const session = signal<Session | null>(null);
export const screen = signal<Screen>("annotate");
export const dialog = signal<Dialog>(null);
export const theme = signal<Theme>(((): Theme => {
  const kept = localStorage.getItem("segany.theme");
  return kept === "light" || kept === "dark" ? kept : "auto";
})());

export const images = signal<RecordSummary[]>([]);
export const more = signal<number | null>(0);
export const filter = signal<string | null>(null);

export const current = signal<ImageRecord | null>(null);
export const picture = signal<HTMLImageElement | null>(null);
export const embedding = signal<Embedding | null>(null);
export const history = signal<History>(EMPTY_HISTORY);
export const selected = signal<Id[]>([]);
export const tool = signal<Tool>("point");
export const brush = signal(12);
export const hover = signal<Hover | null>(null);
/** Whole, part or subpart: which candidate of a lone click is previewed; 0 the likeliest. */
export const rank = signal(0);
export const label = signal<string | null>(null);
/** Masks that have the label that was given to those before them; nobody has said yet that it is theirs. */
export const inherited = signal<ReadonlySet<Id>>(new Set());
export const categories = signal<Category[]>([]);
export const polygon = signal<{ id: Id | null; rings: Ring[]; open: boolean; moved: boolean } | null>(null);
export const found = signal<Found | null>(null);
export const showMasks = signal(true);
export const opacity = signal(0.4);
export const task = signal<Task | null>(null);

/** The last thing that happened, also read out by screen readers. */
export const message = signal<{ text: string; bad: boolean } | null>(null);
export const waiting = signal(0);
export const offline = signal(false);
export const conflicts = signal<Conflict[]>([]);
/** The record whose conflict was put off. */
export const postponed = signal<number | null>(null);
export const refusals = signal<Refusal[]>([]);

const turn = signal(0);
export const stopwatch = new Stopwatch();

/** Of a record that the page has, the server sends back only what an edit put: a click's bytes do not grow with it. */
async function edit(id: number, body: Edit): Promise<ImageRecord> {
  const base = current.peek();
  if (base?.id !== id || base.revision !== body.expected) return api.edit(id, body);
  const saved = await api.edit(id, body, true);
  return saved.partial ? merged(base, saved, body.remove) : saved;
}

export const sync: Sync = new Sync({ ...api, edit }, keep, {
  saved: (record) => {
    if (current.peek()?.id === record.id) current.value = record;
    refreshSummary(record);
  },
  changed: () => {
    turn.value++;
    waiting.value = sync.waiting.length;
    offline.value = sync.offline;
    conflicts.value = [...sync.conflicts.values()];
    refusals.value = sync.refusals;
  },
});

/** The masks of the open image, with what was not saved yet. */
export const annotations = computed<Annotation[]>(() => {
  void turn.value;
  const record = current.value;
  if (!record) return [];
  const mine = sync.of(record.id).filter(({ digest }) => digest === record.image.digest);
  return mine.reduce(applied, record.annotations);
});

export const active = computed<Annotation | null>(
  () => annotations.value.find(({ id }) => id === selected.value[0]) ?? null,
);
export const role = computed(() => session.value?.user?.role ?? "admin");
export const canReview = computed(() => role.value !== "annotator");

export function say(text: string, bad = false): void {
  message.value = { text, bad };
}

export function complain(error: unknown): void {
  say(error instanceof Error ? error.message : String(error), true);
}

function refreshSummary(record: ImageRecord): void {
  const place = images.peek().findIndex(({ id }) => id === record.id);
  if (place < 0) return;
  const masks: RecordSummary["masks"] = {};
  for (const { review_state } of record.annotations) masks[review_state] = (masks[review_state] ?? 0) + 1;
  const listed = [...images.peek()];
  listed[place] = { ...listed[place]!, masks, revision: record.revision };
  images.value = listed;
}

const PALETTE = ["#ffb000", "#3da5ff", "#ff5d8f", "#2ec4a6", "#b388ff", "#ff7a2f", "#9bd80f", "#00c2e0", "#f25cd4"];

/** The colour of a mask: its class's, or one by its place. */
export function colour(annotation: Annotation, place: number): string {
  const named = categories.value.find(({ name }) => name === annotation.category);
  return named?.color ?? PALETTE[place % PALETTE.length]!;
}

export function paletteColour(place: number): string {
  return PALETTE[place % PALETTE.length]!;
}

/** Class names, those of the collection first, then those of this image. */
export const names = computed<string[]>(() => {
  const known = categories.value.map(({ name }) => name);
  const used = annotations.value.flatMap(({ category }) => category ?? []);
  return [...new Set([...known, ...used])];
});

effect(() => {
  const chosen = theme.value;
  if (chosen === "auto") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("segany.theme");
  } else {
    document.documentElement.dataset.theme = chosen;
    localStorage.setItem("segany.theme", chosen);
  }
});
