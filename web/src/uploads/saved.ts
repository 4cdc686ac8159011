// Uploads that are under way, kept in IndexedDB with their files, so that a reload goes on where
// it stopped. Nothing in here lets anybody in: the session's URL takes bytes of this one upload.

import type { Saved } from "./model";

const STORE = "uploads";
let opened: Promise<IDBDatabase> | undefined;

export async function keep(record: Saved): Promise<void> {
  await run("readwrite", (store) => store.put(record));
}

export async function forget(key: string): Promise<void> {
  await run("readwrite", (store) => store.delete(key));
}

export async function saved(owner: string): Promise<Saved[]> {
  const all = await run<Saved[]>("readonly", (store) => store.getAll());
  return all.filter((one) => one.owner === owner).sort((a, b) => a.startedAt - b.startedAt);
}

/** Somebody else's files do not stay in a browser he signed out of. */
export async function forgetAll(): Promise<void> {
  await run("readwrite", (store) => store.clear());
}

async function run<T>(
  mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest,
): Promise<T> {
  const database = await (opened ??= open());
  return new Promise<T>((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = ask(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result as T);
    transaction.onabort = () => reject(transaction.error ?? new Error("not stored"));
  });
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("snaptask", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("no database"));
  });
}
