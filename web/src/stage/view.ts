/** View: where the image lies on the screen. */

import { signal } from "@preact/signals";

export interface View {
  /** Screen pixels of one image pixel. */
  scale: number;
  /** Where the image's upper left corner is, in screen pixels of the stage. */
  x: number;
  y: number;
}

export const view = signal<View>({ scale: 1, x: 0, y: 0 });
/** Of the stage, in screen pixels. */
export const stageSize = signal<{ width: number; height: number }>({ width: 1, height: 1 });

/** Whether the whole image is shown, and nobody zoomed or moved it since. */
let fitted = true;

const SMALLEST = 0.01;
const LARGEST = 64;
const MARGIN = 0.94;

export function fit(size: readonly [number, number], box?: readonly [number, number, number, number]): void {
  const { width, height } = stageSize.peek();
  const [x0, y0, x1, y1] = box ?? [0, 0, size[1], size[0]];
  fitted = !box;
  const room = box ? 0.6 : MARGIN;
  const scale = clamp(Math.min((width * room) / (x1 - x0), (height * room) / (y1 - y0)));
  view.value = {
    scale,
    x: placed(width, size[1] * scale, ((x0 + x1) / 2) * scale),
    y: placed(height, size[0] * scale, ((y0 + y1) / 2) * scale),
  };
}

/** Where the image begins, so that a place of it is in the middle; with no more empty room beside it than there has to be. */
function placed(room: number, length: number, middle: number): number {
  if (length <= room) return (room - length) / 2;
  return Math.min(0, Math.max(room - length, room / 2 - middle));
}

/** Give the stage another size: what is in its middle stays there, unless the whole image is shown. */
export function resizeStage(width: number, height: number, whole: () => void): void {
  const before = stageSize.peek();
  stageSize.value = { width, height };
  if (fitted) return whole();
  const now = view.peek();
  view.value = { ...now, x: now.x + (width - before.width) / 2, y: now.y + (height - before.height) / 2 };
}

/** Zoom by a factor, with the point of the screen that is given staying where it is. */
export function zoom(factor: number, at?: readonly [number, number]): void {
  const { scale, x, y } = view.peek();
  const { width, height } = stageSize.peek();
  const [cx, cy] = at ?? [width / 2, height / 2];
  const next = clamp(scale * factor);
  fitted = false;
  view.value = { scale: next, x: cx - ((cx - x) * next) / scale, y: cy - ((cy - y) * next) / scale };
}

export function pan(dx: number, dy: number): void {
  const now = view.peek();
  fitted = false;
  view.value = { ...now, x: now.x + dx, y: now.y + dy };
}

/** From the stage's screen pixels to the image's, not rounded. */
export function toImage(sx: number, sy: number): [number, number] {
  const { scale, x, y } = view.peek();
  return [(sx - x) / scale, (sy - y) / scale];
}

export function toScreen(x: number, y: number): [number, number] {
  const now = view.peek();
  return [x * now.scale + now.x, y * now.scale + now.y];
}

function clamp(scale: number): number {
  return Math.min(LARGEST, Math.max(SMALLEST, scale));
}
