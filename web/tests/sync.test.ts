import "fake-indexeddb/auto";
import { beforeEach, expect, test, vi } from "vitest";
import { keep } from "../src/edits/keep";
import type { Operation } from "../src/edits/operations";
import { type Sender, Sync } from "../src/edits/sync";
import type { ImageRecord } from "../src/words";
import { ApiError } from "../src/work/api";

const record = (revision: number, digest = "d"): ImageRecord => ({
  ...{ id: 1, revision, annotations: [], split: null, has_image: true },
  image: { file_name: "a.png", size: [4, 4], digest, licence: null },
});
const operation = (key: string, more: Partial<Operation> = {}): Operation => ({
  ...{ key, record: 1, digest: "d", user: "ann", base: 1, order: Number(key), label: key, steps: [] },
  changes: [{ id: key, before: null, after: null }, { id: `${key}+`, before: null, after: null }],
  ...more,
});

let revision = 1;
let sent: { expected: number; key: string }[] = [];
let sync: Sync;
let sender: Sender;

beforeEach(async () => {
  for (const { key } of await keep.operations()) await keep.remove(key);
  [revision, sent] = [1, []];
  sender = {
    edit: async (_, { expected, key }) => {
      sent.push({ expected, key });
      if (expected !== revision) {
        throw new ApiError(409, "conflict", "changed", { current: revision, record: record(revision) });
      }
      return record(++revision);
    },
    review: async (_, { expected, key }) => {
      sent.push({ expected, key });
      return record(++revision);
    },
    record: async () => ({ ...record(revision), annotations: [{ id: "1" }, { id: "2" }, { id: "3" }] }) as ImageRecord,
  };
  sync = new Sync(sender, keep, { saved: () => {}, changed: () => {} });
});

const settled = () => vi.waitFor(() => expect(sync.waiting.length).toBe(0));
const put = (key: string): Operation["changes"] => [
  { id: key, before: null, after: { id: key } as NonNullable<Operation["changes"][number]["after"]> },
];

test("operations go one after the other, each on the revision of the one before", async () => {
  sync.opened(record(1));
  sync.add(operation("1", { changes: put("1") }));
  sync.add(operation("2", { changes: put("2") }));
  await settled();
  expect(sent).toEqual([{ expected: 1, key: "1" }, { expected: 2, key: "2" }]);
  await sync.written();
  expect(await keep.operations()).toEqual([]);
});

test("offline they wait, survive the page, and go when the server is back", async () => {
  const edit = sender.edit;
  sender.edit = () => Promise.reject(new ApiError(0, "offline", "not reached"));
  sync.opened(record(1));
  sync.add(operation("1", { changes: put("1") }));
  await vi.waitFor(() => expect(sync.offline).toBe(true));
  await sync.written();
  const later = new Sync({ ...sender, edit }, keep, { saved: () => {}, changed: () => {} });
  await later.start("bob");
  expect(later.waiting).toEqual([]);
  await later.start("ann");
  await vi.waitFor(() => expect(sent).toEqual([{ expected: 1, key: "1" }]));
});

test("what is left when the page is closed between two answers is no conflict with itself", async () => {
  const edit = sender.edit;
  sender.edit = (id, body) =>
    body.key === "2" ? Promise.reject(new ApiError(0, "offline", "not reached")) : edit(id, body);
  sync.opened(record(1));
  sync.add(operation("1", { changes: put("1") }));
  sync.add(operation("2", { changes: put("2") }));
  await vi.waitFor(() => expect(sync.offline).toBe(true));
  await sync.written();
  const later = new Sync({ ...sender, edit }, keep, { saved: () => {}, changed: () => {} });
  await later.start("ann");
  await vi.waitFor(() => expect(later.waiting).toEqual([]));
  expect(later.conflicts.size).toBe(0);
  expect(sent.map(({ expected, key }) => [expected, key])).toEqual([[1, "1"], [2, "2"]]);
});

test("a conflict stops the record; mine goes on top only when a person says so", async () => {
  sync.opened(record(1));
  revision = 5;
  sync.add(operation("1", { changes: put("1") }));
  await vi.waitFor(() => expect(sync.conflicts.get(1)?.theirs.revision).toBe(5));
  sync.add(operation("2", { changes: put("2") }));
  expect(sent).toHaveLength(1);
  sync.keepMine(1);
  await settled();
  expect(sent.slice(1)).toEqual([{ expected: 5, key: "1" }, { expected: 6, key: "2" }]);
});

test("or theirs is taken, and mine forgotten", async () => {
  sync.opened(record(1));
  revision = 5;
  sync.add(operation("1", { changes: put("1") }));
  await vi.waitFor(() => expect(sync.conflicts.size).toBe(1));
  expect(sync.takeTheirs(1)?.revision).toBe(5);
  await sync.written();
  expect([sync.waiting, await keep.operations()]).toEqual([[], []]);
});

test("what was kept for the image of another store is not sent", async () => {
  await keep.add(operation("1", { digest: "another", changes: put("1") }));
  await sync.start("ann");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(sent).toEqual([]);
  expect(await keep.operations()).toHaveLength(1);
});

test("what the server refuses is told, and the rest goes on", async () => {
  const edit = sender.edit;
  sender.edit = (id, body) =>
    body.key === "1" ? Promise.reject(new ApiError(422, "mask", "no mask")) : edit(id, body);
  sync.opened(record(1));
  sync.add(operation("1", { changes: put("1") }));
  sync.add(operation("2", { changes: put("2") }));
  await settled();
  expect(sync.refusals.map(({ message }) => message)).toEqual(["no mask"]);
  expect(sent).toEqual([{ expected: 1, key: "2" }]);
});
