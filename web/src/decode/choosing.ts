/** Choosing: which of a click's three masks was meant, ranked as the server ranks them. */

import type { Choosing } from "../words";
import { enlarge, type Frame, reduced } from "./enlarge";

/** Longest side of a mask on which depths are measured. */
const LONGEST = 192;
const FAR = 1e9;

/** How deep inside its mask a click lies, 0 to 1, and the share of the image that the mask covers. */
export function lookAt(
  logits: Float32Array,
  side: number,
  frame: Frame,
  at: readonly [number, number],
): { depth: number; share: number } {
  const [height, width] = frame.original;
  const most = Math.min(1, Math.sqrt((height * width) / (frame.model[0] * frame.model[1])));
  const whole = boxOf(logits, side, reduced(frame, most));
  if (!whole) return { depth: 0, share: 0 };
  const scale = most * Math.min(1, LONGEST / whole);
  const drawn = reduced(frame, scale);
  const crop = enlarge(logits, side, drawn);
  if (!crop) return { depth: 0, share: 0 };
  let area = 0;
  for (const pixel of crop.data) area += pixel;
  const share = area / (drawn.original[0] * drawn.original[1]);
  const x = Math.floor((at[0] / frame.model[1]) * drawn.original[1]) - crop.x0;
  const y = Math.floor((at[1] / frame.model[0]) * drawn.original[0]) - crop.y0;
  if (x < 0 || y < 0 || x >= crop.width || y >= crop.height || !crop.data[x * crop.height + y]) return { depth: 0, share };
  const squares = distances(crop.data, crop.width, crop.height);
  let largest = 0;
  for (const square of squares) if (square > largest) largest = square;
  return { depth: Math.sqrt(squares[x * crop.height + y]! / largest), share };
}

/** The longer side of the box round what may be on, in pixels of the frame; 0 for nothing. */
function boxOf(logits: Float32Array, side: number, frame: Frame): number {
  let [top, bottom, left, right] = [side, 0, side, 0];
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      if (logits[row * side + column]! <= 0) continue;
      [top, bottom] = [Math.min(top, row), row + 1];
      [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
    }
  }
  if (top >= bottom) return 0;
  const perCell = frame.padded[0] / side;
  const tall = ((bottom - top) * perCell * frame.original[0]) / frame.model[0];
  const wide = ((right - left) * perCell * frame.original[1]) / frame.model[1];
  return Math.max(tall, wide, 1);
}

/** Squared distance of every pixel to the nearest one that is off, with all round the rectangle off, too. */
export function distances(data: Uint8Array, width: number, height: number): Float64Array {
  const found = new Float64Array(width * height);
  const column = new Float64Array(height + 2);
  const row = new Float64Array(width + 2);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) column[y + 1] = data[x * height + y] ? FAR : 0;
    column[0] = column[height + 1] = 0;
    sweep(column, height + 2);
    for (let y = 0; y < height; y++) found[x * height + y] = column[y + 1]!;
  }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) row[x + 1] = found[x * height + y]!;
    row[0] = row[width + 1] = 0;
    sweep(row, width + 2);
    for (let x = 0; x < width; x++) found[x * height + y] = row[x + 1]!;
  }
  return found;
}

const parabolas = new Int32Array(LONGEST * 4);
const borders = new Float64Array(LONGEST * 4 + 1);
const before = new Float64Array(LONGEST * 4);

/** The lower envelope of parabolas (Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions). */
function sweep(values: Float64Array, length: number): void {
  let last = 0;
  parabolas[0] = 0;
  borders[0] = -Infinity;
  borders[1] = Infinity;
  for (let place = 1; place < length; place++) {
    let meet: number;
    for (;;) {
      const other = parabolas[last]!;
      meet = (values[place]! + place * place - values[other]! - other * other) / (2 * (place - other));
      if (meet > borders[last]!) break;
      last--;
    }
    parabolas[++last] = place;
    borders[last] = meet;
    borders[last + 1] = Infinity;
  }
  before.set(values.subarray(0, length));
  for (let place = 0, at = 0; place < length; place++) {
    while (borders[at + 1]! < place) at++;
    const from = parabolas[at]!;
    values[place] = (place - from) ** 2 + before[from]!;
  }
}

/** Places of the candidates, the likeliest first. */
export function ranked(scores: readonly number[], seen: readonly { depth: number; share: number }[], by: Choosing): number[] {
  const sums = scores.map((score, place) => {
    const { depth, share } = seen[place]!;
    const away = Math.log(Math.max(share, 1e-12)) - by.log_share;
    const fit = Math.max(by.floor, -by.sharpness * away * away);
    return score + by.depth * depth + by.offsets[place]! + by.size * fit;
  });
  return [...sums.keys()].sort((one, two) => sums[two]! - sums[one]!);
}
