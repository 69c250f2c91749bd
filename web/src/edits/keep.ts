/** Keep: operations and histories in the browser's own database, so that closing the page loses nothing. */

import { EMPTY_HISTORY, type History, type Operation } from "./operations";

const NAME = "segany";
let opened: Promise<IDBDatabase> | undefined;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("operations", { keyPath: "key" });
      asked.result.createObjectStore("histories");
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  return opened;
}

async function within<T>(
  store: "operations" | "histories",
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const transaction = (await database()).transaction(store, mode);
  const asked = work(transaction.objectStore(store));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(asked.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

export const keep = {
  /** All that was not saved by the server yet, the oldest first. */
  operations: async (): Promise<Operation[]> => {
    const found = await within<Operation[]>("operations", "readonly", (store) => store.getAll());
    return found.sort((one, two) => one.order - two.order);
  },
  add: (operation: Operation) => within("operations", "readwrite", (store) => store.put(operation)),
  remove: (key: string) => within("operations", "readwrite", (store) => store.delete(key)),
  history: async (name: string): Promise<History> =>
    (await within<History | undefined>("histories", "readonly", (store) => store.get(name))) ?? EMPTY_HISTORY,
  setHistory: (name: string, history: History) =>
    within("histories", "readwrite", (store) => store.put(history, name)),
};

export type Keep = typeof keep;
