import { beforeEach, expect, test, vi } from "vitest";
import { Advice, type Nameless, percent, worthwhile } from "../src/work/advice";
import type { NameSuggestion } from "../src/words";

const about = (id: string, counts = "52203"): Nameless => ({ record: 1, id, mask: { size: [4, 4], counts } });
const cup: NameSuggestion = { name: "cup", confidence: 0.9 };

let asked: string[];
let told: [string, string | undefined][];
let answers: (NameSuggestion[] | Error)[];

const advice = () =>
  new Advice(
    async ({ id, mask }) => {
      asked.push(`${id} ${mask.counts}`);
      const answer = answers.shift() ?? [cup];
      if (answer instanceof Error) throw answer;
      return answer;
    },
    (names, { id }) => told.push([String(id), names[0]?.name]),
    5000,
  );

beforeEach(() => {
  vi.useFakeTimers();
  [asked, told, answers] = [[], [], []];
});

test("each mask is asked about once, and again when it was corrected", async () => {
  const now = advice();
  now.about(about("a"));
  await vi.advanceTimersByTimeAsync(1);
  now.about(about("a"));
  await vi.advanceTimersByTimeAsync(1);
  now.about(about("a", "corrected"));
  await vi.advanceTimersByTimeAsync(1);
  expect(asked).toEqual(["a 52203", "a corrected"]);
  expect(told).toEqual([["a", "cup"], ["a", "cup"]]);
});

test("where nothing was known it is asked again, a few times, while the mask is selected", async () => {
  answers = [[], [], [], []];
  const now = advice();
  now.about(about("a"));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(3);
  answers = [[]];
  now.about(about("b"));
  await vi.advanceTimersByTimeAsync(1000);
  now.about(null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(4);
  answers = [[]];
  now.about(about("b"));
  await vi.advanceTimersByTimeAsync(6000);
  expect(told).toEqual([["b", "cup"]]);
});

test("a failure is no advice", async () => {
  answers = [new Error("offline")];
  const now = advice();
  now.about(about("a"));
  await vi.advanceTimersByTimeAsync(60_000);
  expect([asked, told]).toEqual([["a 52203"], []]);
});

test("what is told of names is honest and short", () => {
  const names = [0.04, 0.03, 0.06].map((confidence) => ({ name: String(confidence), confidence }));
  expect(worthwhile(names).map(({ name }) => name)).toEqual(["0.04", "0.06"]);
  expect(worthwhile([])).toEqual([]);
  expect([0, 0.004, 0.456, 0.999, 1].map(percent)).toEqual([1, 1, 46, 99, 99]);
});
