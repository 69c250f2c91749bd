/** Outlines: from pixels to rings of corners and back. */

import { type Crop, Shape } from "./shape";

export type Point = [number, number];
/** Closed, without its first point again at the end; pixel (x, y) covers the square from (x, y) to (x+1, y+1). */
export type Ring = Point[];

const STEP: readonly Point[] = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
];
/** Of the pixels ahead, to the right and to the left of each direction, seen from the corner. */
const RIGHT: readonly Point[] = [
  [0, 0],
  [-1, 0],
  [-1, -1],
  [0, -1],
];
const LEFT: readonly Point[] = [
  [0, -1],
  [0, 0],
  [-1, 0],
  [-1, -1],
];

/** Every outline along the edges of the pixels, those of holes too, with only the corners kept. */
export function trace(shape: Shape): Ring[] {
  const { x0, y0, width, height, data } = shape.crop;
  const on = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < width && y < height && data[x * height + y] === 1;
  const walked = new Uint8Array(data.length);
  const rings: Ring[] = [];
  for (let index = 0; index < data.length; index++) {
    if (!data[index] || walked[index]) continue;
    const y = index % height;
    if (y > 0 && data[index - 1]) continue;
    rings.push(follow((index - y) / height, y, on, walked, height).map(([x, y]) => [x + x0, y + y0]));
  }
  return rings;
}

function follow(
  startX: number,
  startY: number,
  on: (x: number, y: number) => boolean,
  walked: Uint8Array,
  height: number,
): Ring {
  const ring: Ring = [];
  let [x, y, direction] = [startX, startY, 0];
  do {
    // The object stays on the right hand.
    if (direction === 0) walked[x * height + y] = 1;
    x += STEP[direction]![0];
    y += STEP[direction]![1];
    const right = RIGHT[direction]!;
    const left = LEFT[direction]!;
    if (!on(x + right[0], y + right[1])) {
      ring.push([x, y]);
      direction = (direction + 1) % 4;
    } else if (on(x + left[0], y + left[1])) {
      ring.push([x, y]);
      direction = (direction + 3) % 4;
    }
  } while (x !== startX || y !== startY || direction !== 0);
  return ring;
}

/** Fewer corners, none further than `tolerance` pixels from where the outline was (Douglas and Peucker). */
export function simplify(ring: Ring, tolerance: number): Ring {
  if (ring.length < 4) return ring;
  // A ring has no ends; cut it at two points that are far from each other.
  const first = ring[0]!;
  let far = 0;
  let longest = -1;
  ring.forEach(([x, y], index) => {
    const distance = (x - first[0]) ** 2 + (y - first[1]) ** 2;
    if (distance > longest) [longest, far] = [distance, index];
  });
  const keep = new Uint8Array(ring.length + 1);
  keep[0] = keep[far] = keep[ring.length] = 1;
  const at = (index: number) => ring[index % ring.length]!;
  const stack: Point[] = [
    [0, far],
    [far, ring.length],
  ];
  while (stack.length) {
    const [from, to] = stack.pop()!;
    let worst = -1;
    let most = tolerance;
    for (let index = from + 1; index < to; index++) {
      const away = toSegment(at(index), at(from), at(to));
      if (away > most) [most, worst] = [away, index];
    }
    if (worst >= 0) {
      keep[worst] = 1;
      stack.push([from, worst], [worst, to]);
    }
  }
  const kept = ring.filter((_, index) => keep[index]);
  return kept.length < 3 ? ring : kept;
}

/** Distance of a point to a segment. */
export function toSegment([px, py]: Point, [ax, ay]: Point, [bx, by]: Point): number {
  const [dx, dy] = [bx - ax, by - ay];
  const long = dx * dx + dy * dy;
  const share = long ? Math.min(1, Math.max(0, ((px - ax) * dx + (py - ay) * dy) / long)) : 0;
  return Math.hypot(px - ax - share * dx, py - ay - share * dy);
}

/** The pixels whose centres lie within rings, by the even-odd rule; so a ring within a ring is a hole. */
export function rasterise(size: readonly [number, number], rings: readonly Ring[]): Shape {
  const all = rings.flat();
  if (!all.length) return Shape.empty(size);
  const xs = all.map(([x]) => x);
  const ys = all.map(([, y]) => y);
  const x0 = Math.max(0, Math.floor(Math.min(...xs)));
  const y0 = Math.max(0, Math.floor(Math.min(...ys)));
  const x1 = Math.min(size[1], Math.ceil(Math.max(...xs)));
  const y1 = Math.min(size[0], Math.ceil(Math.max(...ys)));
  if (x1 <= x0 || y1 <= y0) return Shape.empty(size);
  const [width, height] = [x1 - x0, y1 - y0];
  const crop: Crop = { x0, y0, width, height, data: new Uint8Array(width * height) };
  for (let y = y0; y < y1; y++) {
    const crossings: number[] = [];
    for (const ring of rings) {
      ring.forEach(([ax, ay], index) => {
        const [bx, by] = ring[(index + 1) % ring.length]!;
        const middle = y + 0.5;
        if (ay > middle !== by > middle) crossings.push(ax + ((middle - ay) / (by - ay)) * (bx - ax));
      });
    }
    crossings.sort((one, two) => one - two);
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const from = Math.max(x0, Math.ceil(crossings[pair]! - 0.5));
      const to = Math.min(x1, Math.ceil(crossings[pair + 1]! - 0.5));
      for (let x = from; x < to; x++) crop.data[(x - x0) * height + y - y0] = 1;
    }
  }
  return Shape.from(size, crop);
}
