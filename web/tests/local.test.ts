import { beforeEach, expect, test, vi } from "vitest";
import { Local } from "../src/decode/local";
import type { Question, Said } from "../src/decode/speech";
import type { Embedding } from "../src/words";

vi.mock("../src/work/api", () => ({
  api: {
    featuresUrl: (record: number) => `features/${record}`,
    graphUrl: (digest: string) => `graphs/${digest}`,
    exportDecoder: async () => ({
      state: "ready",
      graphs: [
        { name: "prepare", sha256: "p" },
        { name: "decode", sha256: "d" },
      ],
    }),
  },
}));

/** Does nothing until it is told to. */
class Slow {
  onmessage: ((event: { data: Said }) => void) | null = null;
  onerror = null;
  asked: { id: number; question: Question }[] = [];
  postMessage = (message: { id: number; question: Question }) => this.asked.push(message);
  terminate = () => undefined;
  async answer(): Promise<string> {
    await vi.waitFor(() => expect(this.asked.length).toBeGreaterThan(0));
    const { id, question } = this.asked.shift()!;
    this.onmessage?.({ data: { id, candidates: [] } });
    await Promise.resolve();
    return question.kind === "open" ? `open ${question.image.record}` : question.kind;
  }
}

const embedding = { frame: {}, shape: [256, 64, 64], low_res_side: 256, choosing: null } as unknown as Embedding;
let worker: Slow;
let local: Local;

beforeEach(() => {
  vi.stubGlobal("window", { crossOriginIsolated: true });
  vi.stubGlobal("navigator", { hardwareConcurrency: 2 });
  worker = new Slow();
  local = new Local(() => worker as unknown as Worker);
});

test("of images opened one after the other, the worker has the last", async () => {
  const opening = [local.open(1, embedding)];
  expect(await worker.answer()).toBe("load");
  await vi.waitFor(() => expect(worker.asked.length).toBe(1));
  opening.push(local.open(2, embedding), local.open(1, embedding));
  expect(await worker.answer()).toBe("open 1");
  await opening[0];
  // What comes next in the worker's queue is the second image.
  expect(local.isOpen(1)).toBe(false);
  expect(await worker.answer()).toBe("open 2");
  expect(await worker.answer()).toBe("open 1");
  await Promise.all(opening);
  expect(local.isOpen(2)).toBe(false);
  expect(local.isOpen(1)).toBe(true);
});
