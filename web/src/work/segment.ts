/** Segment: from clicks and boxes to masks of the open image. */

import { decode } from "../decode/decode";
import { Shape } from "../masks/shape";
import type { Asked } from "../decode/speech";
import type { Annotation, Candidate, Id, Mask, PredictReply, Prompt } from "../words";
import { api, ApiError } from "./api";
import { change, create } from "./editing";
import { Latest } from "./latest";
import { active, annotations, complain, current, hover, rank, say, selected } from "./state";

/** What is known of how a mask came about, for as long as the page is open. */
interface Making {
  prompt: Prompt;
  candidates: Candidate[];
  index: number;
  /** Masks before it, the latest last. */
  before: { mask: Mask; making: Omit<Making, "before"> | null }[];
}

const PAUSE_MS = 22;
const makings = new Map<Id, Making>();

export interface Pointed {
  record: number;
  point: [number, number];
  /** When the pointer got there. */
  at: number;
}

let answeredBy: string | null = null;
let onHover: (at: number) => void = () => {};

/** Called when a preview has to be drawn, with the time at which the pointer got there. */
export function whenHovered(call: (at: number) => void): void {
  onHover = call;
}

const hovering = new Latest(
  async (asked: Pointed) => {
    // The other candidates are drawn when they are asked for: every millisecond counts here.
    const answer = await decode({ record: asked.record, point: asked.point, alternatives: rank.peek() > 0 });
    answeredBy = answer.model;
    return answer.candidates;
  },
  (candidates, asked) => {
    if (current.peek()?.id !== asked.record || !candidates.length) return;
    const index = rank.peek() % candidates.length;
    const shape = Shape.of(candidates[index]!.mask);
    hover.value = { point: asked.point, candidates, index, shape };
    onHover(asked.at);
  },
  (error) => {
    if (!(error instanceof ApiError) || (error.status !== 0 && error.status !== 429)) complain(error);
  },
  PAUSE_MS,
);

export function pointAt(point: [number, number], at: number): void {
  const record = current.peek();
  if (!record) return;
  const shown = hover.peek()?.point;
  if (shown && shown[0] === point[0] && shown[1] === point[1]) return;
  hovering.want({ record: record.id, point, at });
}

export function stopPointing(): void {
  hovering.drop();
  hover.value = null;
}

/** Preview the next larger or smaller reading of what the pointer is on. */
export function nextRank(by = 1): void {
  const shown = hover.peek();
  if (!shown || shown.candidates.length < 2) {
    rank.value = (rank.peek() + by + 3) % 3;
    const record = current.peek();
    if (shown && record) hovering.want({ record: record.id, point: shown.point, at: performance.now() });
    return;
  }
  const index = (shown.index + by + shown.candidates.length) % shown.candidates.length;
  rank.value = index;
  hover.value = { ...shown, index, shape: Shape.of(shown.candidates[index]!.mask) };
  onHover(performance.now());
}

let turn: Promise<unknown> = Promise.resolve();

/** What is clicked while an answer is awaited begins with that answer; on another image it is forgotten. */
function inTurn(work: () => Promise<void>): Promise<void> {
  const record = current.peek()?.id;
  const next = turn.then(() => (current.peek()?.id === record ? work() : undefined)).catch(complain);
  turn = next;
  return next;
}

async function predict(prompt: Prompt, fallback?: Mask): Promise<{ candidates: Candidate[]; model: string } | null> {
  const record = current.peek();
  if (!record) return null;
  try {
    const simple = asSimple(record.id, prompt);
    const answer = simple ? await decode(simple) : asAnswer(await api.predict(record.id, prompt));
    if (current.peek()?.id !== record.id) return null;
    return answer;
  } catch (error) {
    if (error instanceof ApiError && error.code === "gone" && fallback) {
      return predict({ ...prompt, logits: null, mask: fallback });
    }
    if (error instanceof ApiError && error.status === 0) say("Offline: new masks need the server; edits are kept", true);
    else complain(error);
    return null;
  }
}

const asAnswer = (reply: PredictReply) => ({
  candidates: reply.predictions[0]!.candidates,
  model: reply.model_digest,
});

/** A lone click on the object, or a box alone: what can be decoded here, too. */
function asSimple(record: number, { points, labels, box, mask, logits }: Prompt): Asked | null {
  if (mask || logits || (box && points)) return null;
  if (box) return { record, box, alternatives: true };
  const lone = points?.length === 1 && (labels?.[0] ?? 1) === 1;
  return lone ? { record, point: points[0]!, alternatives: true } : null;
}

/** The answer to go on from. What was decoded here has none at the server, which is asked for the same first. */
async function earlierAnswer({ prompt, candidates, index }: Making): Promise<string | null> {
  const { level, logits } = candidates[index]!;
  const record = current.peek();
  if (logits || !record) return logits || null;
  // Without one the mask itself is gone on from.
  const reply = await api.predict(record.id, prompt).catch(() => null);
  return reply?.predictions[0]!.candidates.find((each) => each.level === level)?.logits ?? null;
}

const bare = (prompt: Prompt): Prompt => ({ points: prompt.points, labels: prompt.labels, box: prompt.box });

function made(words: string, prompt: Prompt, candidates: Candidate[], index: number, model: string | null): void {
  const best = candidates[index];
  if (!best?.area) {
    say("Nothing found there");
    return;
  }
  const annotation = create(words, best.mask, {
    predicted_iou: best.predicted_iou,
    prompts: [bare(prompt)],
    model_digest: model,
  });
  makings.set(annotation.id, { prompt, candidates, index, before: [] });
}

/** Keep the mask at a point: what is previewed there, or what the model says. */
export const accept = (point: [number, number]) => inTurn(() => acceptNow(point));

async function acceptNow(point: [number, number]): Promise<void> {
  const shown = hover.peek();
  const wanted = rank.peek();
  const prompt: Prompt = { points: [point], labels: [1] };
  // Another reading may have been asked for and not be shown yet.
  if (shown && shown.index === wanted && shown.point[0] === point[0] && shown.point[1] === point[1]) {
    stopPointing();
    rank.value = 0;
    made("Mask added", prompt, shown.candidates, shown.index, answeredBy);
    return;
  }
  stopPointing();
  const found = await predict(prompt);
  if (found) made("Mask added", prompt, found.candidates, wanted % found.candidates.length, found.model);
  rank.value = 0;
}

export function box(corners: [number, number, number, number]): Promise<void> {
  return inTurn(async () => {
    stopPointing();
    const found = await predict({ box: corners });
    if (found) made("Mask from a box", { box: corners }, found.candidates, 0, found.model);
  });
}

/** One more click for the selected mask. */
export const correct = (point: [number, number], positive: boolean) => inTurn(() => correctNow(point, positive));

async function correctNow(point: [number, number], positive: boolean): Promise<void> {
  const target = active.peek();
  if (!target) {
    if (positive) await acceptNow(point);
    else say("Select a mask first; then say what is not part of it");
    return;
  }
  stopPointing();
  const making = makings.get(target.id);
  const known = making?.prompt ?? target.prompts.at(-1) ?? {};
  const prompt: Prompt = {
    ...(known.box ? { box: known.box } : {}),
    points: [...(known.points ?? []), point],
    labels: [...(known.labels ?? (known.points ?? []).map(() => 1)), positive ? 1 : 0],
  };
  const isSame = making?.candidates[making.index]?.mask.counts === target.mask.counts;
  const logits = making && isSame ? await earlierAnswer(making) : null;
  const earlier = logits ? { logits } : { mask: target.mask };
  const found = await predict({ ...prompt, ...earlier }, target.mask);
  const best = found?.candidates[0];
  const now = annotations.peek().find(({ id }) => id === target.id);
  if (!found || !best || !now) return;
  replace(positive ? "Added a click" : "Added a negative click", now, best, {
    prompt,
    candidates: found.candidates,
    index: 0,
  });
}

function replace(words: string, target: Annotation, best: Candidate, making: Omit<Making, "before">): void {
  const before = makings.get(target.id);
  const trail = [...(before?.before ?? []), { mask: target.mask, making: before ?? null }];
  makings.set(target.id, { ...making, before: trail.slice(-20) });
  change(words, target, {
    mask: best.mask,
    predicted_iou: best.predicted_iou,
    prompts: [bare(making.prompt)],
    source: target.source === "automatic" ? "semi_automatic" : target.source,
  });
}

/** The next of the candidates for the selected mask. */
export const nextCandidate = () => inTurn(nextCandidateNow);

async function nextCandidateNow(): Promise<void> {
  const target = active.peek();
  if (!target) {
    nextRank();
    return;
  }
  let making = makings.get(target.id);
  if (!making || making.candidates.length < 2) {
    const prompt = making?.prompt ?? target.prompts.at(-1);
    if (!prompt) {
      say("This mask was drawn: there are no other candidates");
      return;
    }
    const record = current.peek();
    if (!record) return;
    const reply = await api.predictSeveral(record.id, bare(prompt)).catch(complain);
    const candidates = reply?.predictions[0]?.candidates;
    if (!candidates?.length) return;
    const index = candidates.findIndex(({ mask }) => mask.counts === target.mask.counts);
    making = { prompt, candidates, index, before: making?.before ?? [] };
  }
  const index = (making.index + 1) % making.candidates.length;
  const best = making.candidates[index]!;
  replace(`Candidate ${index + 1} of ${making.candidates.length}`, target, best, { ...making, index });
}

/** The mask as it was before the last click. */
export function maskBefore(): void {
  const target = active.peek();
  const making = target && makings.get(target.id);
  const last = making?.before.at(-1);
  if (!target || !making || !last) {
    say("There is no mask before this one; undo goes further back");
    return;
  }
  const rest = making.before.slice(0, -1);
  if (last.making) makings.set(target.id, { ...last.making, before: rest });
  else makings.delete(target.id);
  change("Mask before the last click", target, {
    mask: last.mask,
    prompts: last.making ? [bare(last.making.prompt)] : target.prompts,
  });
}

/** Clicks that led to the selected mask, for drawing. */
export function clicks(): { point: [number, number]; positive: boolean }[] {
  const prompt = active.value?.prompts.at(-1);
  return (prompt?.points ?? []).map((point, index) => ({ point, positive: (prompt?.labels?.[index] ?? 1) === 1 }));
}

/** The smallest mask at a point. */
export function annotationAt(x: number, y: number): Annotation | null {
  const there = annotations.peek().filter((each) => Shape.of(each.mask).has(x, y));
  return there.sort((one, two) => one.area - two.area)[0] ?? null;
}

export function select(id: Id | null, extend = false): void {
  if (id === null) selected.value = [];
  else if (!extend) selected.value = [id];
  else selected.value = selected.peek().includes(id) ? selected.peek().filter((each) => each !== id) : [...selected.peek(), id];
}
