// All uploads of this tab: a few at a time, each owned by one tab, continued after a reload.

import type { Saved } from "./model";
import { isOver } from "./model";
import * as saved from "./saved";
import { Upload } from "./upload";
import { world } from "./world";

/** At once. More share the same line and all arrive later. */
const AT_ONCE = 3;

let uploads: readonly Upload[] = [];
/** How often somebody left: what was being looked for then is nobody's any more. */
let left = 0;
const listeners = new Set<() => unknown>();

export function current(): readonly Upload[] {
  return uploads;
}

export function subscribe(listener: () => unknown): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** For a task, or for none yet. */
export function add(files: Iterable<File>, owner: string, task?: string): Upload[] {
  const made = [...files].map((file) => {
    const record: Saved = { key: crypto.randomUUID(), owner, file, startedAt: Date.now() };
    return new Upload(task ? { ...record, task } : record, world, changed);
  });
  uploads = [...uploads, ...made];
  for (const upload of made) void begin(upload);
  changed();
  return made;
}

/** What a reload, or a crash of the browser, interrupted. */
export async function continueSaved(owner: string): Promise<void> {
  const mine = left;
  const records = await saved.saved(owner).catch(() => []);
  for (const record of records) {
    if (mine !== left) return;
    if (uploads.some((upload) => upload.key === record.key)) continue;
    const upload = new Upload(record, world, changed);
    void begin(upload, () => {
      if (mine !== left) return;
      uploads = [...uploads, upload];
      changed();
    });
  }
}

export function again(upload: Upload): void {
  void begin(upload);
}

export function dismiss(upload: Upload): void {
  uploads = uploads.filter((one) => one !== upload);
  void saved.forget(upload.key).catch(() => {});
  changed();
}

/** Out of this tab; whose they are finds them again when he signs in. */
export function lay(): void {
  left++;
  for (const upload of uploads) upload.leave();
  uploads = [];
  changed();
}

/** Out of this browser. */
export async function clear(): Promise<void> {
  lay();
  await saved.forgetAll().catch(() => {});
}

/** The upload of a picture that was taken off its task must not put it there again. */
export function detached(mediaId: string): void {
  for (const upload of uploads) if (upload.mediaId === mediaId) upload.detach();
}

/** Resolves when the server knows the upload by a name, or it is over without one. */
export function named(upload: Upload): Promise<void> {
  return new Promise((resolve) => {
    const stop = subscribe(check);
    function check() {
      if (!upload.mediaId && !isOver(upload.phase)) return;
      stop();
      resolve();
    }
    queueMicrotask(check);
  });
}

/** A lock of the browser's keeps two tabs from sending the same upload. */
async function begin(upload: Upload, owned: () => void = () => {}): Promise<void> {
  const run = async (lock: unknown) => {
    if (lock === null) return;
    owned();
    if (!uploads.includes(upload)) return;
    // A reload finds those that wait for their turn, too.
    await upload.keep();
    await inTurn(upload);
  };
  if (!navigator.locks) return run(true);
  await navigator.locks.request(`snaptask.upload.${upload.key}`, { ifAvailable: true }, run);
}

let free = AT_ONCE;
const waiting: (() => void)[] = [];

async function inTurn(upload: Upload): Promise<void> {
  if (free > 0) free--;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  let isMine = true;
  const pass = () => {
    if (!isMine) return;
    isMine = false;
    const first = waiting.shift();
    if (first) first();
    else free++;
  };
  // What is only looked at takes nothing of the line, for as long as a scanner may need.
  const stop = subscribe(() => upload.phase.name === "checking" && pass());
  try {
    // Its person may have signed out while it waited.
    if (uploads.includes(upload)) await upload.run();
  } finally {
    stop();
    pass();
    changed();
  }
}

function changed(): void {
  // A new array, because React compares by identity.
  uploads = [...uploads];
  for (const listener of listeners) listener();
}
