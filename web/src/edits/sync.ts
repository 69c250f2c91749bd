/** Sync: sends what waits, one operation after the other; stops a record at a conflict, and everything while offline. */

import type { ImageRecord } from "../words";
import { ApiError } from "../work/api";
import type { Keep } from "./keep";
import { type Operation, request, type reviewAction, reviewSteps } from "./operations";

export interface Conflict {
  record: number;
  theirs: ImageRecord;
}

/** What the server refuses for another reason than a conflict. */
export interface Refusal {
  operation: Operation;
  message: string;
}

export interface Sender {
  edit: (
    id: number,
    body: { expected: number; key: string } & ReturnType<typeof request> & { note?: string },
  ) => Promise<ImageRecord>;
  review: (
    id: number,
    body: { expected: number; key: string; steps: { id: number | string; action: ReturnType<typeof reviewAction> }[] },
  ) => Promise<ImageRecord>;
  record: (id: number) => Promise<ImageRecord>;
}

export interface Watcher {
  saved: (record: ImageRecord, operation: Operation) => void;
  changed: () => void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export class Sync {
  waiting: Operation[] = [];
  conflicts = new Map<number, Conflict>();
  refusals: Refusal[] = [];
  offline = false;
  /** Record -> the revision and the ids that our last saved operation left behind. */
  private known = new Map<number, { revision: number; ids: ReadonlySet<number | string> }>();
  private running = false;
  private wait = FIRST_WAIT_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private writing: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly send: Sender,
    private readonly keep: Keep,
    private readonly watcher: Watcher,
  ) {}

  /** Take up what an earlier visit left. */
  async start(user: string): Promise<void> {
    const left = (await this.keep.operations()).filter((operation) => operation.user === user);
    this.waiting = [...left.filter((one) => !this.waiting.some((two) => two.key === one.key)), ...this.waiting];
    this.watcher.changed();
    void this.run();
  }

  add(operation: Operation): void {
    this.waiting.push(operation);
    this.later(() => this.keep.add(operation));
    this.watcher.changed();
    void this.run();
  }

  /** The record as the server has it now; with nothing waiting, what is made next is made on that. */
  opened(record: ImageRecord): void {
    if (!this.of(record.id).length) this.learn(record);
  }

  of(record: number): Operation[] {
    return this.waiting.filter((operation) => operation.record === record);
  }

  /** Mine again on top of theirs. */
  keepMine(record: number): void {
    const conflict = this.conflicts.get(record);
    if (!conflict) return;
    this.conflicts.delete(record);
    this.learn(conflict.theirs);
    this.rebase(record, conflict.theirs.revision);
    void this.run();
  }

  /** Forget mine. */
  takeTheirs(record: number): ImageRecord | undefined {
    const conflict = this.conflicts.get(record);
    this.conflicts.delete(record);
    for (const operation of this.of(record)) this.drop(operation);
    this.watcher.changed();
    return conflict?.theirs;
  }

  forget(refusal: Refusal): void {
    this.refusals = this.refusals.filter((each) => each !== refusal);
    this.watcher.changed();
  }

  /** Try now. */
  wake(): void {
    clearTimeout(this.timer);
    this.wait = FIRST_WAIT_MS;
    void this.run();
  }

  /** When everything that happened so far is in the browser's database. */
  written(): Promise<unknown> {
    return this.writing;
  }

  private later(work: () => Promise<unknown>): void {
    // A browser without a database (a private window) still saves; it only forgets what waits when it is closed.
    this.writing = this.writing.then(work).catch(() => undefined);
  }

  private rebase(record: number, revision: number): void {
    for (const operation of this.of(record)) {
      operation.base = revision;
      this.later(() => this.keep.add(operation));
    }
  }

  private drop(operation: Operation): void {
    this.waiting = this.waiting.filter((each) => each !== operation);
    this.later(() => this.keep.remove(operation.key));
  }

  private learn(record: ImageRecord): void {
    this.known.set(record.id, { revision: record.revision, ids: new Set(record.annotations.map(({ id }) => id)) });
  }

  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    try {
      for (;;) {
        const next = this.waiting.find(({ record }) => !this.conflicts.has(record) && !this.parked.has(record));
        if (!next || !(await this.one(next))) break;
      }
    } finally {
      this.running = false;
      this.watcher.changed();
    }
  }

  /** Records that belong to another store. */
  private readonly parked = new Set<number>();

  /** Whether to go on. */
  private async one(operation: Operation): Promise<boolean> {
    const id = operation.record;
    try {
      if (!this.known.has(id) && !(await this.isSameImage(operation))) {
        this.parked.add(id);
        return true;
      }
      const saved = await this.sent(operation);
      this.learn(saved);
      this.offline = false;
      this.wait = FIRST_WAIT_MS;
      // Those made meanwhile were made on top of this one. Written down before this one is forgotten: a page that is
      // closed in between sends this one again, which changes nothing.
      this.rebase(id, saved.revision);
      this.drop(operation);
      this.watcher.saved(saved, operation);
      return true;
    } catch (error) {
      return this.failed(operation, error);
    }
  }

  private async isSameImage(operation: Operation): Promise<boolean> {
    const now = await this.send.record(operation.record);
    if (now.image.digest !== operation.digest) return false;
    this.known.set(now.id, { revision: operation.base, ids: new Set(now.annotations.map(({ id }) => id)) });
    return true;
  }

  private async sent(operation: Operation): Promise<ImageRecord> {
    const { record, key, base, changes, steps, label } = operation;
    let saved: ImageRecord | undefined;
    if (changes.length) {
      const body = request(operation, this.known.get(record)?.ids);
      // What others removed need not be removed again; nothing is left to say then.
      if (body.put.length || body.remove.length) {
        saved = await this.send.edit(record, { expected: base, key, ...body, note: label });
      }
    }
    for (const [index, said] of reviewSteps(steps).entries()) {
      const expected = saved?.revision ?? base;
      saved = await this.send.review(record, { expected, key: `${key}.${index}`, steps: said });
    }
    return saved ?? (await this.send.record(record));
  }

  private failed(operation: Operation, error: unknown): boolean {
    const told = error instanceof ApiError ? error : new ApiError(0, "offline", String(error));
    if (told.code === "conflict") {
      const theirs = told.body.record as ImageRecord;
      this.conflicts.set(operation.record, { record: operation.record, theirs });
      return true;
    }
    const passing = told.status === 0 || told.status === 401 || told.status === 429 || told.status >= 500;
    if (passing) {
      this.offline = told.status !== 401 && told.status !== 429;
      const asked = 1000 * Number(told.body.retry_after ?? 0);
      this.timer = setTimeout(() => void this.run(), Math.max(asked, this.wait));
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
      return false;
    }
    this.refusals = [...this.refusals, { operation, message: told.message }];
    this.drop(operation);
    return true;
  }
}
