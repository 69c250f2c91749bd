/** Pointer: what mouse, pen, finger and arrow keys do with each tool. */

import { signal } from "@preact/signals";
import { type Point, toSegment } from "../masks/outline";
import { addCorner, finishPolygon, moveCorner, paint, removeCorner, startPolygon } from "../work/drawing";
import { climb, keepPointed, pointAtFound } from "../work/finding";
import { accept, annotationAt, box, correct, pointAt, select, stopPointing } from "../work/segment";
import { brush, current, embedding, found, polygon, selected, tool } from "../work/state";
import { pan, toImage, toScreen, view, zoom } from "./view";

interface PointerState {
  /** In image pixels, not rounded. */
  at: Point | null;
  /** Where a drag began. */
  start: Point | null;
  path: Point[];
  /** Whether arrow keys move it. */
  keyboard: boolean;
}

export const pointer = signal<PointerState>({ at: null, start: null, path: [], keyboard: false });

export interface Press {
  /** Where on the stage, screen pixels. */
  x: number;
  y: number;
  button: number;
  alt: boolean;
  shift: boolean;
  control: boolean;
  time: number;
}

const NEAR = 9;
let panning: Point | null = null;
let corner: { ring: number; corner: number } | null = null;
let spaceHeld = false;

export function holdSpace(held: boolean): void {
  spaceHeld = held;
}

/** The pixel under a point of the image; null outside. */
function pixel([x, y]: Point): Point | null {
  const size = current.peek()?.image.size;
  if (!size || x < 0 || y < 0 || x >= size[1] || y >= size[0]) return null;
  return [Math.floor(x), Math.floor(y)];
}

function within([x, y]: Point): Point {
  const [h, w] = current.peek()!.image.size;
  return [Math.min(w, Math.max(0, x)), Math.min(h, Math.max(0, y))];
}

export function press(event: Press): void {
  if (!current.peek()) return;
  if (event.button === 1 || spaceHeld || (tool.peek() === "hand" && event.button === 0)) {
    panning = [event.x, event.y];
    return;
  }
  const at = toImage(event.x, event.y);
  const negative = event.button === 2 || event.alt;
  switch (tool.peek()) {
    case "point":
      pressPoint(at, negative, event);
      break;
    case "box":
      if (!negative) pointer.value = { ...pointer.peek(), at, start: within(at), keyboard: false };
      else pressPoint(at, true, event);
      break;
    case "brush":
    case "eraser":
      pointer.value = { ...pointer.peek(), at, path: [at], keyboard: false };
      break;
    case "polygon":
      pressPolygon(at, negative);
      break;
    case "everything":
      pressFound(at, negative);
      break;
    case "hand":
      break;
  }
}

function pressPoint(at: Point, negative: boolean, event: Press): void {
  const where = pixel(at);
  if (!where) {
    select(null);
    return;
  }
  if (event.control) {
    const there = annotationAt(...where);
    select(there?.id ?? null, selected.peek().length > 0);
  } else if (negative) void correct(where, false);
  else if (event.shift) void correct(where, true);
  else void accept(where);
}

function pressFound(at: Point, climbs: boolean): void {
  const where = pixel(at);
  if (!where || !found.peek()) return;
  if (climbs) climb(...where);
  else {
    pointAtFound(...where);
    keepPointed();
  }
}

function pressPolygon(at: Point, removes: boolean): void {
  if (!polygon.peek()) startPolygon(1 / Math.max(0.5, view.peek().scale));
  const drawn = polygon.peek()!;
  const close = nearest(at);
  if (close) {
    if (removes) removeCorner(close.ring, close.corner);
    else if (drawn.open && close.corner === 0 && drawn.rings[0]!.length > 2) finishPolygon();
    else corner = close;
    return;
  }
  if (removes) return;
  if (drawn.open) {
    addCorner(0, drawn.rings[0]?.length ?? 0, within(at));
    return;
  }
  const edge = nearestEdge(at);
  if (edge) {
    addCorner(edge.ring, edge.corner, within(at));
    corner = edge;
  }
}

function nearest(at: Point): { ring: number; corner: number } | null {
  let best: { ring: number; corner: number } | null = null;
  let least = NEAR / view.peek().scale;
  polygon.peek()?.rings.forEach((points, ring) =>
    points.forEach(([x, y], place) => {
      const away = Math.hypot(x - at[0], y - at[1]);
      if (away < least) [least, best] = [away, { ring, corner: place }];
    }),
  );
  return best;
}

function nearestEdge(at: Point): { ring: number; corner: number } | null {
  let best: { ring: number; corner: number } | null = null;
  let least = NEAR / view.peek().scale;
  polygon.peek()?.rings.forEach((points, ring) =>
    points.forEach((from, place) => {
      const away = toSegment(at, from, points[(place + 1) % points.length]!);
      if (away < least) [least, best] = [away, { ring, corner: place + 1 }];
    }),
  );
  return best;
}

/** Move; `keyboard` when arrow keys did. */
export function move(x: number, y: number, time: number, keyboard = false): void {
  if (panning) {
    pan(x - panning[0], y - panning[1]);
    panning = [x, y];
    return;
  }
  if (!current.peek()) return;
  const at = toImage(x, y);
  const state = pointer.peek();
  if (corner) {
    moveCorner(corner.ring, corner.corner, within(at).map((value) => Math.round(value * 2) / 2) as Point);
    return;
  }
  const path = state.path.length ? [...state.path, at] : state.path;
  const seen = keyboard || path.length > 0 || state.start || tool.peek() === "brush" || tool.peek() === "eraser";
  if (seen || state.keyboard) pointer.value = { ...state, at, path, keyboard };
  const where = pixel(at);
  if (tool.peek() === "point" && embedding.peek()?.state === "ready") {
    if (where) pointAt(where, time);
    else stopPointing();
  } else if (tool.peek() === "everything") {
    if (where) pointAtFound(...where);
  }
}

export function release(): void {
  panning = null;
  corner = null;
  const { start, at, path } = pointer.peek();
  pointer.value = { ...pointer.peek(), start: null, path: [] };
  if (path.length) paint(path, brush.peek(), tool.peek() === "eraser");
  if (start && at && tool.peek() === "box") {
    const end = within(at);
    const corners: [number, number, number, number] = [
      Math.floor(Math.min(start[0], end[0])),
      Math.floor(Math.min(start[1], end[1])),
      Math.ceil(Math.max(start[0], end[0])),
      Math.ceil(Math.max(start[1], end[1])),
    ];
    if (corners[2] - corners[0] > 1 && corners[3] - corners[1] > 1) void box(corners);
  }
}

/** Without a drag: what was begun is dropped. */
export function leave(): void {
  stopPointing();
  if (!panning && !pointer.peek().path.length && !pointer.peek().start) {
    pointer.value = { at: null, start: null, path: [], keyboard: false };
  }
}

export function cancel(): void {
  pointer.value = { ...pointer.peek(), start: null, path: [] };
  polygon.value = null;
  stopPointing();
}

export function wheel(x: number, y: number, by: number): void {
  zoom(Math.exp(-by * 0.0015), [x, y]);
}

/** Arrow keys: a step in screen pixels, at least one pixel of the image. */
export function nudge(dx: number, dy: number, coarse: boolean): void {
  const record = current.peek();
  if (!record) return;
  const { scale } = view.peek();
  const step = Math.max(1, Math.round((coarse ? 48 : 6) / scale));
  const [h, w] = record.image.size;
  const [x, y] = pointer.peek().at ?? [w / 2, h / 2];
  const to: Point = [
    Math.min(w - 0.5, Math.max(0.5, Math.floor(x) + 0.5 + dx * step)),
    Math.min(h - 0.5, Math.max(0.5, Math.floor(y) + 0.5 + dy * step)),
  ];
  pointer.value = { ...pointer.peek(), at: to, keyboard: true };
  move(...toScreen(...to), performance.now(), true);
}

/** Enter: a click where the arrow keys led; with the box tool the first begins it and the second ends it. */
export function pressHere(how: { alt: boolean; shift: boolean; control: boolean }): void {
  if (polygon.peek() && !how.alt && !how.shift) {
    finishPolygon();
    return;
  }
  const { at, start } = pointer.peek();
  if (!at) return;
  if (start) {
    release();
    return;
  }
  const [x, y] = toScreen(...at);
  press({ x, y, button: 0, ...how, time: performance.now() });
  if (tool.peek() === "brush" || tool.peek() === "eraser") release();
  else corner = null;
}
