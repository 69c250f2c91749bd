import { expect, test } from "vitest";
import { Latest } from "../src/work/latest";
import { Stopwatch } from "../src/work/stopwatch";

test("one request at a time, and of those asked meanwhile the last", async () => {
  const asked: number[] = [];
  const told: number[] = [];
  let free = () => {};
  const latest = new Latest<number, number>(
    async (question) => {
      asked.push(question);
      await new Promise<void>((resolve) => (free = resolve));
      return question * 10;
    },
    (answer) => told.push(answer),
    () => {},
    0,
  );
  const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
  for (const question of [1, 2, 3]) latest.want(question);
  await turn();
  expect(asked).toEqual([1]);
  free();
  await turn();
  expect([asked, told]).toEqual([[1, 3], [10]]);
  latest.drop();
  free();
  await turn();
  expect(told).toEqual([10]);
});

test("pauses are not working time", () => {
  const watch = new Stopwatch();
  watch.tick(0);
  watch.tick(2000);
  watch.tick(3_602_000);
  expect(watch.take(3_603_000)).toBe(18);
  expect(watch.seconds).toBe(0);
});
