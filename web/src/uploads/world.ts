// The real world of an upload: the API, the bucket, this browser's database.

import { api, body, type UploadRequest } from "../api/client";
import { Problem } from "../api/problem";
import { tell } from "../ui/notices";
import { checksumOf } from "./checksum";
import { Refusal, Trouble, type Ticket, type Wanted, type World } from "./model";
import * as saved from "./saved";
import * as transport from "./transport";
import { RESUMABLE_FROM } from "./upload";

const WORDS: Record<string, string> = {
  "quota-exceeded": "There is no room left for it. Empty the trash, or delete something.",
  "too-large": "It is too large.",
  "unsupported-media-type": "This kind of file is not taken.",
  invalid: "This kind of file is not taken, or it is too large.",
};
/** Seconds that one question waits for an answer, and milliseconds between questions. */
const PATIENCE = 15;
const PAUSE = 700;

export const world: World = {
  checksum: checksumOf,
  announce: (wanted, key, signal) =>
    translated(body(announced(wanted, key, signal)) as Promise<Ticket>),
  giveUp: async (media_id) => {
    const params = { path: { media_id } };
    try {
      await translated(body(api.DELETE("/api/media/uploads/{media_id}", { params })));
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 409) throw error;
      // It has arrived already.
      await translated(body(api.DELETE("/api/media/{media_id}", { params })));
    }
  },
  isAwaited: async (mediaId, signal) =>
    (await translated(body(read(mediaId, signal, 0)))).state === "pending",
  settled: async (mediaId, signal) => {
    for (;;) {
      const medium = await translated(body(read(mediaId, signal, PATIENCE)));
      if (medium.state === "ready" || medium.state === "rejected") {
        return { state: medium.state, reason: medium.reason };
      }
      await rest(PAUSE, signal);
    }
  },
  attach: async (task_id, mediaId, signal) => {
    const params = { path: { task_id } };
    await translated(body(api.POST("/api/tasks/{task_id}/attach-media", { params, body: { mediaId }, signal })));
  },
  tell,
  put: transport.put,
  startSession: transport.startSession,
  stand: transport.stand,
  chunk: transport.chunk,
  endSession: transport.endSession,
  rest,
  // A browser without a database (a private window) uploads all the same, until the reload.
  keep: (record) => saved.keep(record).catch(() => {}),
  forget: (key) => saved.forget(key).catch(() => {}),
};

function announced(wanted: Wanted, key: string, signal: AbortSignal) {
  // The server refuses what it does not know.
  const contentType = wanted.contentType as UploadRequest["contentType"];
  return api.POST("/api/media/uploads", {
    params: { header: { "Idempotency-Key": key } },
    body: { ...wanted, contentType, resumable: wanted.size >= RESUMABLE_FROM },
    signal,
  });
}

function read(media_id: string, signal: AbortSignal, patience: number) {
  return api.GET("/api/media/{media_id}", {
    params: { path: { media_id } },
    headers: { Prefer: `wait=${patience}` },
    signal,
  });
}

async function translated<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 0 || error.status === 429 || error.status >= 500) {
      throw new Trouble(error.retryAfter);
    }
    const status = error.slug === "invalid" ? 415 : error.status;
    throw new Refusal(WORDS[error.slug] ?? error.words, status);
  }
}

function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      removeEventListener("online", wake);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    addEventListener("online", wake);
    signal.addEventListener("abort", wake);
  });
}
