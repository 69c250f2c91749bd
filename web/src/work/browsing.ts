/** Browsing: the list of images, which one is open, uploads, and the queue of tasks. */

import type { Embedding } from "../words";
import { polygon } from "./state";
import { api, ApiError } from "./api";
import { loadHistory } from "./editing";
import { stopPointing } from "./segment";
import {
  complain,
  current,
  embedding,
  filter,
  found,
  images,
  more,
  picture,
  say,
  selected,
  stopwatch,
  sync,
  task,
} from "./state";

const PAGE = 100;
const POLL_MS = 250;
const AGAIN_MS = 1500;
let loading: Promise<void> | null = null;

/** The next page of the list. */
export function loadMore(): Promise<void> {
  loading ??= (async () => {
    const after = more.peek();
    if (after === null) return;
    const wanted = filter.peek();
    try {
      const page = await api.records(after, PAGE, wanted);
      if (wanted !== filter.peek()) return;
      const known = new Set(images.peek().map(({ id }) => id));
      images.value = [...images.peek(), ...page.records.filter(({ id }) => !known.has(id))];
      more.value = page.next;
    } catch (error) {
      complain(error);
    }
  })().finally(() => {
    loading = null;
  });
  return loading;
}

export async function reload(): Promise<void> {
  await loading;
  images.value = [];
  more.value = 0;
  await loadMore();
}

export async function show(state: string | null): Promise<void> {
  filter.value = state;
  await reload();
}

export async function upload(files: File[]): Promise<void> {
  if (!files.length) return;
  say(files.length > 1 ? `Uploading ${files.length} images` : `Uploading ${files[0]!.name}`);
  try {
    let first: number | null = null;
    const problems: string[] = [];
    for (let start = 0; start < files.length; start += 16) {
      const reply = await api.upload(files.slice(start, start + 16));
      first ??= reply.records[0]?.id ?? null;
      problems.push(...reply.problems.map(({ file_name, message }) => `${file_name}: ${message}`));
    }
    await reload();
    if (first !== null) await open(first);
    if (problems.length) say(problems.join(" "), true);
    else say(files.length > 1 ? "Uploaded" : `${files[0]!.name} is open`);
  } catch (error) {
    complain(error);
  }
}

/** Open an image: its masks, its picture, and its embedding, all at once. */
export async function open(id: number): Promise<void> {
  stopPointing();
  polygon.value = null;
  found.value = null;
  selected.value = [];
  embedding.value = null;
  // An address of its own, so that a reload comes back here.
  window.history.replaceState(null, "", `/images/${id}`);
  void follow(id);
  try {
    const image = new Image();
    image.src = api.imageUrl(id);
    const [record] = await Promise.all([
      api.record(id),
      image.decode().catch(() => {
        throw new Error("this image has no picture that the browser can show.");
      }),
    ]);
    if (window.location.pathname !== `/images/${id}`) return;
    sync.opened(record);
    current.value = record;
    picture.value = image;
    stopwatch.take(performance.now());
    await loadHistory();
    embedNext(id);
  } catch (error) {
    complain(error);
  }
}

const isOpen = (id: number) => window.location.pathname === `/images/${id}`;

/** Ask for the embedding, and watch until it is there. */
async function follow(id: number): Promise<void> {
  let begun = false;
  let told = false;
  while (isOpen(id)) {
    let wait = POLL_MS;
    try {
      const state: Embedding = await (begun ? api.embedding(id) : api.embed(id));
      if (!isOpen(id)) return;
      embedding.value = { ...state, record: id };
      if (state.state === "ready") {
        if (told) say("The image is ready");
        return;
      }
      begun = state.state !== "missing";
    } catch (error) {
      // A server that loads its model, is busy or away is asked again.
      const passing = error instanceof ApiError && [0, 429, 503].includes(error.status);
      if (isOpen(id)) complain(error);
      if (!passing) return;
      [begun, told, wait] = [false, true, AGAIN_MS];
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function embedNext(id: number): void {
  const next = neighbour(id, 1);
  if (next !== null) void api.embed(next).catch(() => undefined);
}

function neighbour(id: number | undefined, by: number): number | null {
  const place = images.peek().findIndex((each) => each.id === id);
  return images.peek()[place + by]?.id ?? null;
}

export async function step(by: number): Promise<void> {
  if (by > 0 && neighbour(current.peek()?.id, by) === null) await loadMore();
  const next = neighbour(current.peek()?.id, by);
  if (next === null) say(by > 0 ? "This is the last image" : "This is the first image");
  else await open(next);
}

const skipped: number[] = [];
let beat: ReturnType<typeof setInterval> | undefined;

/** The next piece of work that was queued for people; without any, the next image. */
export async function claim(): Promise<void> {
  try {
    const { task: next } = await api.claim(skipped.slice(-500));
    hold(next);
    if (next?.job.record_id) await open(next.job.record_id);
    else {
      say("No task waits for you; here is the next image");
      await step(1);
    }
  } catch (error) {
    complain(error);
  }
}

function hold(next: typeof task.value): void {
  clearInterval(beat);
  task.value = next;
  if (next) {
    const every = (next.lease_seconds * 1000) / 3;
    beat = setInterval(() => void api.heartbeat(next).catch(() => hold(null)), every);
  }
}

export async function finishTask(): Promise<void> {
  const held = task.peek();
  if (!held) return;
  try {
    await api.finish(held);
    hold(null);
    await claim();
  } catch (error) {
    complain(error);
  }
}

/** Leave this image undone, and go on. */
export async function skip(): Promise<void> {
  const held = task.peek();
  if (!held) {
    say("Skipped");
    await step(1);
    return;
  }
  if (held.job.record_id) skipped.push(held.job.record_id);
  await api.release(held).catch(() => undefined);
  hold(null);
  await claim();
}
