import { expect, test } from "vitest";
import { rasterise, simplify, trace } from "../src/masks/outline";
import { decodeRuns, encodeRuns } from "../src/masks/rle";
import { Shape } from "../src/masks/shape";
import type { Mask } from "../src/words";
// Written by pycocotools.
import known from "./masks.json";

interface Known extends Mask {
  area: number;
  box: number[];
  rows?: string[];
}

const KNOWN = known as unknown as Known[];

test.each(KNOWN)("$size with area $area is read and written as COCO has it", ({ size, counts, area, box, rows }) => {
  const runs = decodeRuns(counts, size[0] * size[1]);
  expect(encodeRuns(runs)).toBe(counts);
  const shape = Shape.of({ size, counts });
  expect(shape.area).toBe(area);
  expect(shape.box).toEqual(box);
  expect(Shape.from(size, shape.copy()).mask()).toEqual({ size, counts });
  rows?.forEach((row, y) => [...row].forEach((pixel, x) => expect(shape.has(x, y)).toBe(pixel === "1")));
});

test.each(KNOWN)("the outline of $size with area $area encloses the same pixels", ({ size, counts }) => {
  const shape = Shape.of({ size, counts });
  expect(rasterise(size, trace(shape)).mask().counts).toBe(counts);
});

test.each([
  ["0", 4, "pixels for a mask"],
  ["T", 4, "end within a number"],
  [" ", 4, "not run lengths"],
])("counts %j are refused", (counts, pixels, words) => {
  expect(() => decodeRuns(counts, pixels)).toThrow(words);
});

const draw = (rows: string[]) =>
  Shape.from([rows.length, rows[0]!.length], {
    x0: 0,
    y0: 0,
    width: rows[0]!.length,
    height: rows.length,
    data: Uint8Array.from([...rows[0]!].flatMap((_, x) => rows.map((row) => Number(row[x])))),
  });
const shown = (shape: Shape) =>
  Array.from({ length: shape.size[0] }, (_, y) =>
    Array.from({ length: shape.size[1] }, (_, x) => Number(shape.has(x, y))).join(""),
  );

test("union, difference, pieces and holes", () => {
  const ring = draw(["111000", "101001", "111001"]);
  expect(ring.pieces().map((piece) => piece.area)).toEqual([8, 2]);
  expect(shown(ring.filled())).toEqual(["111000", "111001", "111001"]);
  const bar = draw(["000000", "111111", "000000"]);
  expect(shown(ring.union(bar))).toEqual(["111000", "111111", "111001"]);
  expect(shown(ring.minus(bar))).toEqual(["111000", "000000", "111001"]);
  expect(ring.minus(ring).mask()).toEqual({ size: [3, 6], counts: encodeRuns([18]) });
  expect(Shape.empty([3, 6]).union(bar).mask()).toEqual(bar.mask());
});

test("a hole is a ring of its own, and corners that lie on a line are left out", () => {
  const rings = trace(draw(["111", "101", "111"]));
  expect(rings.map((ring) => ring.length)).toEqual([4, 4]);
  expect(rings[0]).toEqual(expect.arrayContaining([[0, 0], [3, 0], [3, 3], [0, 3]]));
});

test("simplify keeps what is further away than it may be", () => {
  const ring: [number, number][] = [[0, 0], [5, 0.4], [10, 0], [10, 10], [0, 10]];
  expect(simplify(ring, 0.5)).toEqual([[0, 0], [10, 0], [10, 10], [0, 10]]);
  expect(simplify(ring, 0.3)).toEqual(ring);
});

test("what lies outside of the image is cut off", () => {
  expect(rasterise([4, 4], [[[-3, -3], [2, -3], [2, 2], [-3, 2]]]).box).toEqual([0, 0, 2, 2]);
  const crop = { x0: 3, y0: 3, width: 3, height: 3, data: new Uint8Array(9).fill(1) };
  expect(Shape.from([4, 4], crop).area).toBe(1);
});
