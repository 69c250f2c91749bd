/** Decode: candidates for a click or a box, by the quicker way. */

import { effect } from "@preact/signals";
import type { Candidate } from "../words";
import { api } from "../work/api";
import { current, embedding } from "../work/state";
import { Local } from "./local";
import { type Place, Route, wished } from "./route";
import type { Asked } from "./speech";

const route = new Route(wished());
const local = new Local();
const IDLE_MS = 400;

export interface Answer {
  candidates: Candidate[];
  /** Digest of the model that answered. */
  model: string;
  by: Place;
}

effect(() => makeReady(current.value, embedding.value));

/** Make an image ready to be decoded here, where that pays. */
function makeReady(record = current.peek(), state = embedding.peek()): void {
  if (!record || state?.state !== "ready" || state.record !== record.id) return;
  if (route.paysLocal()) void local.open(record.id, state);
}

export async function decode(asked: Asked): Promise<Answer> {
  const canLocal = local.isOpen(asked.record);
  const place = route.next(canLocal);
  let answer: Answer;
  try {
    answer = await timed(place, asked);
  } catch (error) {
    // Whatever it was: if the other way is there, it is tried.
    if (place === "server" && !canLocal) throw error;
    answer = await timed(place === "local" ? "server" : "local", asked);
  }
  // The server may have become the slower one since the image was opened.
  makeReady();
  show();
  measureLater(asked);
  return answer;
}

async function timed(place: Place, asked: Asked): Promise<Answer> {
  const begin = performance.now();
  let answer: Answer;
  if (place === "local") {
    const candidates = await local.ask(asked);
    answer = { candidates, model: embedding.peek()?.model_digest ?? "", by: place };
  } else {
    const prompt = asked.box
      ? { box: [...asked.box] as [number, number, number, number] }
      : { points: [[...asked.point!] as [number, number]], labels: [1] };
    const reply = await api.predict(asked.record, prompt, asked.alternatives);
    answer = { candidates: reply.predictions[0]!.candidates, model: reply.model_digest, by: place };
  }
  const took = performance.now() - begin;
  // Boxes take as long as clicks here and there, but their answers are of one mask.
  if (asked.point && !asked.alternatives) route.tell(place, took);
  performance.measure(`segany.decode.${place}`, { start: begin, duration: took });
  return answer;
}

let idle: ReturnType<typeof setTimeout> | undefined;

/** The way that is not taken is measured when the pointer rests: nobody waits for that answer. */
function measureLater(asked: Asked): void {
  clearTimeout(idle);
  const other = route.toMeasure(local.isOpen(asked.record));
  if (!other || !asked.point) return;
  idle = setTimeout(() => {
    timed(other, { ...asked, alternatives: false })
      .then(() => measureLater(asked))
      .catch(() => undefined)
      .finally(show);
  }, IDLE_MS);
}

/** For whoever looks after the page, and its tests. */
function show(): void {
  const told = document.documentElement.dataset;
  told.decodedBy = route.next(local.isOpen(current.peek()?.id ?? -1));
  const waits = route.paysLocal() ? "waiting" : "resting";
  told.decodeLocal = local.failed ?? (local.isOpen(current.peek()?.id ?? -1) ? "ready" : waits);
}
