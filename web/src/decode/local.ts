/** Local: the decoder in a worker of this page. Whatever goes wrong, it is gone, and the server answers. */

import type { Candidate, Embedding } from "../words";
import { api } from "../work/api";
import type { Asked, OpenImage, Question, Said } from "./speech";

const POLL_MS = 3000;
const MOST_THREADS = 4;
const LONGEST_MS = 20_000;

export class Local {
  private worker: Worker | null = null;
  private loading: Promise<void> | null = null;
  private waiting = new Map<number, { resolve: (value: Candidate[] | null) => void; reject: (error: Error) => void }>();
  private count = 0;
  private opened: number | null = null;
  private opening: number | null = null;
  private turn = 0;
  /** Why there is none; null while there is, or may be. */
  failed: string | null = null;

  constructor(
    private readonly made: () => Worker = () =>
      new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "segany-decoder" }),
  ) {}

  isOpen(record: number): boolean {
    return this.failed === null && this.opened === record;
  }

  /** Prepare for an image whose embedding is ready: its features are downloaded, once. */
  async open(record: number, embedding: Embedding): Promise<void> {
    if (this.failed !== null || !embedding.frame) return;
    if (this.opened === record || this.opening === record) return;
    this.opened = null;
    this.opening = record;
    const turn = ++this.turn;
    try {
      await (this.loading ??= this.load());
      const image: OpenImage = {
        record,
        features: api.featuresUrl(record),
        shape: embedding.shape,
        side: embedding.low_res_side,
        frame: embedding.frame,
        choosing: embedding.choosing,
      };
      await this.say({ kind: "open", image });
      // Of images that were opened since, the worker has the last one.
      if (this.turn === turn) this.opened = record;
    } catch (error) {
      this.fail(error);
    } finally {
      if (this.turn === turn) this.opening = null;
    }
  }

  async ask(asked: Asked): Promise<Candidate[]> {
    try {
      const found = await this.say({ kind: "ask", asked });
      if (!found) throw new Error("the worker gave no answer");
      return found;
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  fail(error: unknown): void {
    this.failed ??= error instanceof Error ? error.message : String(error);
    this.opened = null;
    this.worker?.terminate();
    this.worker = null;
    const left = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of left) reject(new Error(this.failed));
  }

  private async load(): Promise<void> {
    // Threads need shared memory, which only an isolated page has.
    if (!window.crossOriginIsolated) throw new Error("this page is not isolated");
    let decoder = await api.exportDecoder();
    while (decoder.state === "making" || decoder.state === "missing") {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      decoder = await api.decoder();
    }
    const url = (name: string) => {
      const graph = decoder.graphs.find((each) => each.name === name);
      if (!graph) throw new Error(decoder.message ?? `the server has no graph ${name}`);
      return api.graphUrl(graph.sha256);
    };
    const graphs = { prepare: url("prepare"), decode: url("decode") };
    this.worker = this.made();
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.fail(new Error(event.message || "the worker did not start"));
    };
    this.worker.onmessage = ({ data }: MessageEvent<Said>) => {
      const asked = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error === undefined) asked?.resolve(data.candidates);
      else asked?.reject(new Error(data.error));
    };
    // One core is left to the page: threads that wait for each other's turn take twice as long.
    const threads = Math.max(1, Math.min(MOST_THREADS, (navigator.hardwareConcurrency || 1) - 1));
    await this.say({ kind: "load", graphs, threads });
  }

  private say(question: Question): Promise<Candidate[] | null> {
    const { worker } = this;
    if (!worker) return Promise.reject(new Error(this.failed ?? "there is no worker"));
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      // Graphs and features may be long on their way; a prompt may not.
      const timer =
        question.kind === "ask" ? setTimeout(() => this.fail(new Error("the worker hangs")), LONGEST_MS) : undefined;
      const done = () => clearTimeout(timer);
      this.waiting.set(id, {
        resolve: (value) => (done(), resolve(value)),
        reject: (error) => (done(), reject(error)),
      });
      worker.postMessage({ id, question });
    });
  }
}
