// Tasks that were deleted here. The server is told a while later, so that it can be undone: it keeps
// no deleted tasks. Until then, and for good where it agreed, no list shows them, whatever it is
// asked meanwhile: an id is never given twice.

import { useSyncExternalStore } from "react";

/** Milliseconds in which a deletion can be taken back. */
const REGRET = 6500;

let gone: ReadonlySet<string> = new Set();
const waiting = new Map<string, () => Promise<void>>();
const listeners = new Set<() => void>();

/** Returns what takes it back, which is false when it came too late. `carryOut` throws nothing; it
 * says whether the task is deleted. */
export function deleteLater(id: string, carryOut: () => Promise<boolean>): () => boolean {
  const timer = setTimeout(() => void now(), REGRET);
  const isInTime = () => {
    clearTimeout(timer);
    return waiting.delete(id);
  };
  async function now() {
    if (isInTime() && !(await carryOut())) show(id);
  }
  waiting.set(id, now);
  put(new Set([...gone, id]));
  return () => {
    if (!isInTime()) return false;
    show(id);
    return true;
  };
}

/** When the page is left, and before its person signs out: nobody is there for the regret. */
export async function deleteNow(): Promise<void> {
  await Promise.all([...waiting.values()].map((now) => now()));
}

if (typeof addEventListener !== "undefined") addEventListener("pagehide", () => void deleteNow());

export function deleted(): ReadonlySet<string> {
  return gone;
}

export function useDeleted(): ReadonlySet<string> {
  return useSyncExternalStore(subscribe, deleted);
}

function show(id: string): void {
  put(new Set([...gone].filter((one) => one !== id)));
}

function put(next: ReadonlySet<string>): void {
  gone = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
