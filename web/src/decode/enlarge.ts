/** Enlarge: a mask's low-resolution logits to pixels, as the server does it: two bilinear steps, each axis by itself. */

import type { Crop } from "../masks/shape";

/** How an image lies in the model's input; sizes are [height, width]. */
export interface Frame {
  original: readonly [number, number];
  model: readonly [number, number];
  padded: readonly [number, number];
}

const TAPS = 4;

/** For each pixel of an axis the first cell that it mixes, and the shares of that one and the next ones. */
interface Axis {
  first: Int32Array;
  shares: Float32Array;
}

const axes = new Map<string, Axis>();
const REMEMBERED = 16;

function bilinear(place: number, length: number, source: number): [number, number, number] {
  const at = Math.max(0, (source / length) * (place + 0.5) - 0.5);
  const first = Math.min(Math.floor(at), source - 1);
  return [first, Math.min(first + 1, source - 1), at - first];
}

/** The map of an axis from cells over the padded input to original pixels. */
function axisOf(length: number, model: number, padded: number, cells: number): Axis {
  const key = `${length} ${model} ${padded} ${cells}`;
  let axis = axes.get(key);
  if (axis) return axis;
  axis = { first: new Int32Array(length), shares: new Float32Array(length * TAPS) };
  for (let pixel = 0; pixel < length; pixel++) {
    const [near, far, share] = bilinear(pixel, length, model);
    const [a, b, within] = bilinear(near, padded, cells);
    const [c, d, beyond] = bilinear(far, padded, cells);
    axis.first[pixel] = a;
    const add = (cell: number, value: number) => (axis!.shares[pixel * TAPS + cell - a]! += value);
    add(a, (1 - share) * (1 - within));
    add(b, (1 - share) * within);
    add(c, share * (1 - beyond));
    add(d, share * beyond);
  }
  if (axes.size >= REMEMBERED) axes.clear();
  axes.set(key, axis);
  return axis;
}

/** Pixels that read any cell from `start` up to `stop`, half-open. */
function reached({ first }: Axis, start: number, stop: number): [number, number] {
  let from = 0;
  while (from < first.length && first[from]! + TAPS - 1 < start) from++;
  let to = first.length;
  while (to > from && first[to - 1]! >= stop) to--;
  return [from, to];
}

/** Pixels of the original image that are on, in the smallest rectangle outside which none can be; null for none. */
export function enlarge(logits: Float32Array, side: number, frame: Frame): Crop | null {
  let [top, bottom, left, right] = [side, 0, side, 0];
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      if (logits[row * side + column]! <= 0) continue;
      if (row < top) top = row;
      bottom = row + 1;
      if (column < left) left = column;
      if (column >= right) right = column + 1;
    }
  }
  if (top >= bottom) return null;
  const down = axisOf(frame.original[0], frame.model[0], frame.padded[0], side);
  const across = axisOf(frame.original[1], frame.model[1], frame.padded[1], side);
  const [y0, y1] = reached(down, top, bottom);
  const [x0, x1] = reached(across, left, right);
  if (y0 >= y1 || x0 >= x1) return null;
  const height = y1 - y0;
  const width = x1 - x0;
  // Every column of cells that a pixel reads, enlarged downwards; cells beyond the last count for nothing.
  const cells = across.first[x1 - 1]! + TAPS - across.first[x0]!;
  const tall = new Float32Array(cells * height);
  for (let cell = 0; cell < cells; cell++) {
    const column = Math.min(side - 1, across.first[x0]! + cell);
    for (let y = 0; y < height; y++) {
      let sum = 0;
      for (let tap = 0, row = down.first[y + y0]!; tap < TAPS && row < side; tap++, row++) {
        sum += down.shares[(y + y0) * TAPS + tap]! * logits[row * side + column]!;
      }
      tall[cell * height + y] = sum;
    }
  }
  const data = new Uint8Array(width * height);
  for (let x = 0; x < width; x++) {
    const from = (across.first[x + x0]! - across.first[x0]!) * height;
    const [a, b, c, d] = across.shares.subarray((x + x0) * TAPS, (x + x0 + 1) * TAPS) as unknown as number[];
    for (let y = 0; y < height; y++) {
      const at = from + y;
      const sum = a! * tall[at]! + b! * tall[at + height]! + c! * tall[at + 2 * height]! + d! * tall[at + 3 * height]!;
      if (sum > 0) data[x * height + y] = 1;
    }
  }
  return { x0, y0, width, height, data };
}

/** The same region with `scale` pixels for each of the model's. */
export function reduced({ model, padded }: Frame, scale: number): Frame {
  const [h, w] = model.map((length) => Math.max(1, Math.round(length * scale)));
  return { original: [h!, w!], model, padded };
}
