/** Shape: a mask decoded as far as its box, for drawing, hit tests and arithmetic. */

import type { Mask } from "../words";
import { decodeRuns, encodeRuns } from "./rle";

/** A rectangle of pixels, in column order like the run lengths. */
export interface Crop {
  x0: number;
  y0: number;
  width: number;
  height: number;
  /** 1 on the object, 0 off it; pixel (x, y) of the crop stands at x * height + y. */
  data: Uint8Array;
}

export class Shape {
  private constructor(
    readonly size: readonly [number, number],
    readonly crop: Crop,
    readonly area: number,
  ) {}

  static of(mask: Mask): Shape {
    const known = decoded.get(mask);
    if (known) return known;
    const shape = Shape.decode(mask);
    decoded.set(mask, shape);
    return shape;
  }

  private static decode(mask: Mask): Shape {
    const [h, w] = mask.size;
    const runs = decodeRuns(mask.counts, h * w);
    let x0 = w;
    let x1 = 0;
    let y0 = h;
    let y1 = 0;
    let area = 0;
    for (let index = 0, at = 0; index < runs.length; index++) {
      const length = runs[index]!;
      if (index % 2 && length) {
        const first = Math.floor(at / h);
        const last = Math.floor((at + length - 1) / h);
        if (first < x0) x0 = first;
        if (last >= x1) x1 = last + 1;
        if (last > first) {
          y0 = 0;
          y1 = h;
        } else {
          y0 = Math.min(y0, at - first * h);
          y1 = Math.max(y1, at + length - first * h);
        }
        area += length;
      }
      at += length;
    }
    if (!area) return new Shape([h, w], { x0: 0, y0: 0, width: 0, height: 0, data: new Uint8Array(0) }, 0);
    const height = y1 - y0;
    const data = new Uint8Array((x1 - x0) * height);
    for (let index = 0, at = 0; index < runs.length; index++) {
      const end = at + runs[index]!;
      if (index % 2) {
        // A run that goes on in the next column covers whole columns, so the box is as high as the image then.
        const column = Math.floor(at / h);
        const start = (column - x0) * height + (at - column * h - y0);
        data.fill(1, start, start + (end - at));
      }
      at = end;
    }
    return new Shape([h, w], { x0, y0, width: x1 - x0, height, data }, area);
  }

  /** From a rectangle of pixels, which may be larger than what is on, and than the image. */
  static from(size: readonly [number, number], crop: Crop): Shape {
    const tight = tighten(crop, size);
    return new Shape(size, tight.crop, tight.area);
  }

  static empty(size: readonly [number, number]): Shape {
    return new Shape(size, { x0: 0, y0: 0, width: 0, height: 0, data: new Uint8Array(0) }, 0);
  }

  /** XYXY half-open. */
  get box(): [number, number, number, number] {
    const { x0, y0, width, height } = this.crop;
    return [x0, y0, x0 + width, y0 + height];
  }

  has(x: number, y: number): boolean {
    const { x0, y0, width, height, data } = this.crop;
    return x >= x0 && y >= y0 && x < x0 + width && y < y0 + height && data[(x - x0) * height + y - y0] === 1;
  }

  mask(): Mask {
    const [h, w] = this.size;
    const { x0, y0, width, height, data } = this.crop;
    const runs: number[] = [];
    let on = 0;
    let at = 0;
    const until = (place: number) => {
      runs.push(place - at);
      at = place;
      on = 1 - on;
    };
    for (let x = 0; x < width; x++) {
      for (let y = 0; y < height; y++) {
        if (data[x * height + y] !== on) until((x0 + x) * h + y0 + y);
      }
      // Below the crop there is background, unless the crop ends where the next column begins.
      if (on && !(height === h && x + 1 < width)) until((x0 + x) * h + y0 + height);
    }
    if (at < h * w || !runs.length) runs.push(h * w - at);
    const mask: Mask = { size: [h, w], counts: encodeRuns(runs) };
    decoded.set(mask, this);
    return mask;
  }

  /** The pixels of the whole image, or of a wider rectangle, to be written to. */
  copy(x0 = 0, y0 = 0, x1 = this.size[1], y1 = this.size[0]): Crop {
    const width = x1 - x0;
    const height = y1 - y0;
    const out: Crop = { x0, y0, width, height, data: new Uint8Array(width * height) };
    const from = this.crop;
    const top = Math.max(y0, from.y0);
    const bottom = Math.min(y1, from.y0 + from.height);
    if (bottom <= top) return out;
    for (let x = Math.max(x0, from.x0); x < Math.min(x1, from.x0 + from.width); x++) {
      const start = (x - from.x0) * from.height;
      out.data.set(
        from.data.subarray(start + top - from.y0, start + bottom - from.y0),
        (x - x0) * height + top - y0,
      );
    }
    return out;
  }

  union(other: Shape): Shape {
    return this.combined(other, (one, two) => one | two);
  }

  minus(other: Shape): Shape {
    return this.combined(other, (one, two) => one & (1 - two));
  }

  private combined(other: Shape, rule: (one: number, two: number) => number): Shape {
    if (!other.area) return this;
    const [a, b] = [this.area ? this.box : other.box, other.box];
    const [x0, y0, x1, y1] = [
      Math.min(a[0], b[0]),
      Math.min(a[1], b[1]),
      Math.max(a[2], b[2]),
      Math.max(a[3], b[3]),
    ];
    const one = this.copy(x0, y0, x1, y1);
    const two = other.copy(x0, y0, x1, y1);
    for (let index = 0; index < one.data.length; index++) {
      one.data[index] = rule(one.data[index]!, two.data[index]!);
    }
    return Shape.from(this.size, one);
  }

  /** The connected pieces, the largest first; pixels that touch at a corner hang together. */
  pieces(): Shape[] {
    return islands(this.crop, 1).map((crop) => Shape.from(this.size, crop)).sort((a, b) => b.area - a.area);
  }

  /** Without holes: background that is not joined to the rim of the box. */
  filled(): Shape {
    const [x0, y0, x1, y1] = this.box;
    const crop = this.copy(x0 - 1, y0 - 1, x1 + 1, y1 + 1);
    const { height, data } = crop;
    const outside = new Uint8Array(data.length);
    const stack = [0];
    outside[0] = 1;
    while (stack.length) {
      const at = stack.pop()!;
      const y = at % height;
      for (const next of [at - height, at + height, y > 0 ? at - 1 : -1, y < height - 1 ? at + 1 : -1]) {
        if (next >= 0 && next < data.length && !outside[next] && !data[next]) {
          outside[next] = 1;
          stack.push(next);
        }
      }
    }
    for (let index = 0; index < data.length; index++) data[index] = outside[index] ? 0 : 1;
    return Shape.from(this.size, crop);
  }
}

const decoded = new WeakMap<Mask, Shape>();

function tighten(crop: Crop, size: readonly [number, number]): { crop: Crop; area: number } {
  const { data, height } = crop;
  let [left, right, top, bottom, area] = [crop.width, -1, height, -1, 0];
  for (let x = 0; x < crop.width; x++) {
    if (crop.x0 + x < 0 || crop.x0 + x >= size[1]) continue;
    for (let y = 0; y < height; y++) {
      if (!data[x * height + y] || crop.y0 + y < 0 || crop.y0 + y >= size[0]) continue;
      if (x < left) left = x;
      right = x;
      if (y < top) top = y;
      if (y > bottom) bottom = y;
      area++;
    }
  }
  if (!area) return { crop: { x0: 0, y0: 0, width: 0, height: 0, data: new Uint8Array(0) }, area };
  const tall = bottom - top + 1;
  const out = new Uint8Array((right - left + 1) * tall);
  for (let x = left; x <= right; x++) {
    out.set(data.subarray(x * height + top, x * height + bottom + 1), (x - left) * tall);
  }
  return { crop: { x0: crop.x0 + left, y0: crop.y0 + top, width: right - left + 1, height: tall, data: out }, area };
}

/** Pixels of one value in connected pieces, each as a crop of the same rectangle. */
function islands(crop: Crop, value: number): Crop[] {
  const { width, height, data } = crop;
  const seen = new Uint8Array(data.length);
  const found: Crop[] = [];
  for (let start = 0; start < data.length; start++) {
    if (seen[start] || data[start] !== value) continue;
    const piece = new Uint8Array(data.length);
    const stack = [start];
    seen[start] = 1;
    while (stack.length) {
      const at = stack.pop()!;
      piece[at] = 1;
      const x = Math.floor(at / height);
      const y = at % height;
      for (let dx = -1; dx <= 1; dx++) {
        for (let dy = -1; dy <= 1; dy++) {
          if (x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height) continue;
          const next = at + dx * height + dy;
          if (!seen[next] && data[next] === value) {
            seen[next] = 1;
            stack.push(next);
          }
        }
      }
    }
    found.push({ ...crop, data: piece });
  }
  return found;
}
