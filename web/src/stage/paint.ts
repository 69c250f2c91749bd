/** Paint: image and masks on a canvas. */

import { type Ring, trace } from "../masks/outline";
import type { Shape } from "../masks/shape";
import type { View } from "./view";

const fills = new WeakMap<Shape, Map<string, HTMLCanvasElement>>();
const paths = new WeakMap<Shape, Path2D>();
// From here on single pixels are seen, and are not to be blurred.
const SHARP = 2;

/** A context that is cleared, and scaled to image pixels. */
export function begin(canvas: HTMLCanvasElement, view: View): CanvasRenderingContext2D {
  const context = canvas.getContext("2d")!;
  const density = window.devicePixelRatio || 1;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(view.scale * density, 0, 0, view.scale * density, view.x * density, view.y * density);
  return context;
}

export function fitCanvas(canvas: HTMLCanvasElement, width: number, height: number): void {
  const density = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * density)), Math.max(1, Math.round(height * density))];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
}

export function drawPicture(
  context: CanvasRenderingContext2D,
  picture: HTMLImageElement,
  size: readonly [number, number],
  view: View,
): void {
  context.imageSmoothingEnabled = view.scale < SHARP;
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, size[1], size[0]);
}

export interface Look {
  colour: string;
  opacity: number;
  /** Of the outline, in screen pixels; 0 for none. */
  line: number;
  dashed?: boolean;
}

export function drawShape(context: CanvasRenderingContext2D, shape: Shape, look: Look, view: View): void {
  if (!shape.area) return;
  if (look.opacity > 0) {
    context.globalAlpha = look.opacity;
    context.imageSmoothingEnabled = false;
    context.drawImage(filled(shape, look.colour), shape.crop.x0, shape.crop.y0);
    context.globalAlpha = 1;
  }
  if (look.line > 0) drawOutline(context, outline(shape), look, view);
}

/** A line that is seen on any ground: the colour on a dark one. */
export function drawOutline(context: CanvasRenderingContext2D, path: Path2D, look: Look, view: View): void {
  context.lineJoin = "round";
  context.setLineDash([]);
  context.lineWidth = (look.line + 1.5) / view.scale;
  context.strokeStyle = "rgba(0, 0, 0, 0.55)";
  context.stroke(path);
  context.lineWidth = look.line / view.scale;
  context.strokeStyle = look.colour;
  if (look.dashed) context.setLineDash([6 / view.scale, 4 / view.scale]);
  context.stroke(path);
  context.setLineDash([]);
}

export function pathOf(rings: readonly Ring[], closed = true): Path2D {
  const path = new Path2D();
  for (const ring of rings) {
    ring.forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
    if (closed) path.closePath();
  }
  return path;
}

function outline(shape: Shape): Path2D {
  let path = paths.get(shape);
  if (!path) {
    path = pathOf(trace(shape));
    paths.set(shape, path);
  }
  return path;
}

function filled(shape: Shape, colour: string): HTMLCanvasElement {
  let known = fills.get(shape);
  if (!known) fills.set(shape, (known = new Map()));
  let canvas = known.get(colour);
  if (!canvas) {
    canvas = document.createElement("canvas");
    const { width, height, data } = shape.crop;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d")!;
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const word = wordOf(colour);
    for (let x = 0; x < width; x++) {
      for (let y = 0; y < height; y++) if (data[x * height + y]) pixels[y * width + x] = word;
    }
    context.putImageData(image, 0, 0);
    known.set(colour, canvas);
  }
  return canvas;
}

/** #rrggbb as a pixel of ImageData, opaque. */
function wordOf(colour: string): number {
  const value = Number.parseInt(colour.slice(1), 16);
  const bytes = Uint8Array.of((value >> 16) & 255, (value >> 8) & 255, value & 255, 255);
  return new Uint32Array(bytes.buffer)[0]!;
}
