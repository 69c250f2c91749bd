import { expect, test } from "vitest";
import { distances, lookAt, ranked } from "../src/decode/choosing";
import { enlarge, type Frame } from "../src/decode/enlarge";
import { Shape } from "../src/masks/shape";
// Written by tests/serve/test_page_scripts.py from the package's own code.
import known from "./enlarged.json";

/** A disc with a wavy edge, the same in both languages up to rounding. */
function discs(side: number, [x, y, radius]: readonly number[]): Float32Array {
  const logits = new Float32Array(side * side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const away = Math.hypot(column + 0.5 - x!, row + 0.5 - y!);
      logits[row * side + column] = radius! - away + 1.5 * Math.sin(column / 3) * Math.cos(row / 5);
    }
  }
  return logits;
}

test.each(known)("a disc at $disc of $frame.original is enlarged as in Python", ({ disc, side, frame, counts, area }) => {
  const size = frame.original as [number, number];
  const crop = enlarge(discs(side, disc), side, frame as unknown as Frame);
  const own = crop ? Shape.from(size, crop) : Shape.empty(size);
  const theirs = Shape.of({ size, counts });
  expect(theirs.area).toBe(area);
  // A pixel on the very edge may fall to either side.
  let different = 0;
  for (const [one, other] of [[own, theirs], [theirs, own]] as const) {
    const [x0, y0, x1, y1] = one.box;
    for (let x = x0; x < x1; x++) {
      for (let y = y0; y < y1; y++) {
        if (one.has(x, y) && !other.has(x, y)) different++;
      }
    }
  }
  expect(different).toBeLessThanOrEqual(Math.max(1, area * 1e-4));
});

test.each(known)("depth and share at $disc of $frame.original are those of Python", ({ disc, side, frame, at, depth, share }) => {
  const seen = lookAt(discs(side, disc), side, frame as unknown as Frame, at as [number, number]);
  expect(seen.depth).toBeCloseTo(depth, 2);
  expect(seen.share).toBeCloseTo(share, 3);
});

test("nothing on is nothing", () => {
  const frame: Frame = { original: [60, 80], model: [768, 1024], padded: [1024, 1024] };
  expect(enlarge(new Float32Array(256 * 256).fill(-1), 256, frame)).toBeNull();
  expect(lookAt(new Float32Array(256 * 256).fill(-1), 256, frame, [1, 1])).toEqual({ depth: 0, share: 0 });
});

test("distances are those to the nearest pixel that is off", () => {
  const [width, height] = [7, 5];
  const data = Uint8Array.from({ length: width * height }, (_, place) => (place * 7919) % 5 && 1);
  const found = distances(data, width, height);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      let least = Infinity;
      for (let u = -1; u <= width; u++) {
        for (let v = -1; v <= height; v++) {
          const on = u >= 0 && v >= 0 && u < width && v < height && data[u * height + v];
          if (!on) least = Math.min(least, (u - x) ** 2 + (v - y) ** 2);
        }
      }
      expect(found[x * height + y]).toBe(least);
    }
  }
});

test("candidates are ranked by score, depth, what was learned and size", () => {
  const by = { depth: 0.3, offsets: [0, 0, 0] as [number, number, number], size: 0, log_share: 0, sharpness: 1, floor: -4 };
  const seen = [{ depth: 0.1, share: 0.5 }, { depth: 0.9, share: 0.1 }, { depth: 0.2, share: 0.01 }];
  expect(ranked([0.9, 0.8, 0.7], seen, { ...by, depth: 0 })).toEqual([0, 1, 2]);
  expect(ranked([0.9, 0.8, 0.7], seen, by)).toEqual([1, 0, 2]);
  expect(ranked([0.9, 0.8, 0.7], seen, { ...by, offsets: [0, 0, 1] })).toEqual([2, 1, 0]);
  expect(ranked([0.9, 0.8, 0.7], seen, { ...by, size: 0.2, log_share: Math.log(0.5) })[0]).toBe(0);
});
