// What an upload is at any moment, and what can happen to it. Sizes are bytes.

export type Phase =
  | { name: "waiting" }
  | { name: "preparing" }
  | { name: "sending"; sent: number }
  | { name: "retrying"; sent: number; isAltered?: boolean }
  | { name: "paused"; sent: number }
  | { name: "checking" }
  | { name: "ready" }
  | { name: "rejected"; reason: string }
  | { name: "refused"; words: string; again: boolean }
  | { name: "cancelled" };

export type Happening =
  | { type: "started" }
  | { type: "progress"; sent: number }
  | { type: "broken" }
  | { type: "altered" }
  | { type: "renewed" }
  | { type: "pause" }
  | { type: "arrived" }
  | { type: "settled"; state: "ready" | "rejected"; reason: string | null }
  | { type: "refused"; words: string; again: boolean }
  | { type: "cancel" };

/** Final: nothing more will happen by itself; `refused` may be tried again by its person. */
export function isOver(phase: Phase): boolean {
  return ["ready", "rejected", "refused", "cancelled"].includes(phase.name);
}

function sentIn(phase: Phase): number {
  return "sent" in phase ? phase.sent : 0;
}

/** The next phase. What cannot happen in a phase changes nothing: answers of requests that were
 * given up come late, and must not wake what was cancelled. */
export function next(phase: Phase, happening: Happening): Phase {
  const resting = isOver(phase) || phase.name === "paused";
  switch (happening.type) {
    case "started":
      return resting && phase.name !== "paused" && !(phase.name === "refused" && phase.again)
        ? phase
        : { name: "preparing" };
    case "progress":
      return resting || phase.name === "checking" ? phase : { name: "sending", sent: happening.sent };
    case "broken":
      return resting || phase.name === "checking"
        ? phase
        : { name: "retrying", sent: sentIn(phase) };
    case "altered":
      return resting ? phase : { name: "retrying", sent: 0, isAltered: true };
    case "renewed":
      return resting ? phase : { name: "preparing" };
    case "pause":
      return resting || phase.name === "checking" ? phase : { name: "paused", sent: sentIn(phase) };
    case "arrived":
      return resting ? phase : { name: "checking" };
    case "settled":
      if (phase.name !== "checking") return phase;
      return happening.state === "ready"
        ? { name: "ready" }
        : { name: "rejected", reason: happening.reason ?? "unknown" };
    case "refused":
      return resting ? phase : { name: "refused", words: happening.words, again: happening.again };
    case "cancel":
      return phase.name === "ready" || phase.name === "rejected" ? phase : { name: "cancelled" };
  }
}

/** It will never be taken as it is; `words` are for its person. */
export class Refusal extends Error {
  constructor(
    readonly words: string,
    readonly status = 0,
  ) {
    super(words);
  }
}

/** It may go better in a moment: no answer, or one that asks to come again. */
export class Trouble extends Error {
  constructor(readonly afterSeconds = 0) {
    super("no usable answer");
  }
}

/** The storage has, or met, other bytes than those that were read here. */
export class Altered extends Error {}

export interface Wanted {
  fileName: string;
  contentType: string;
  size: number;
  crc32c: string;
}

export interface SignedRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
}

export interface Ticket {
  mediaId: string;
  upload: SignedRequest;
  resumable?: SignedRequest | null;
}

/** All bytes are stored; `crc32c` is the storage's own sum of them, null where it told none. */
export interface Stored {
  crc32c: string | null;
}

/** Where a session stands: so many bytes are stored, all are, or it is no longer known. */
export type Stand = number | Stored | "gone";

/** What is kept over a reload of the page. */
export interface Saved {
  key: string;
  /** What the server knows it by, where that is no longer the key: it was announced as another. */
  announcedAs?: string;
  owner: string;
  file: File;
  startedAt: number;
  checksum?: string;
  mediaId?: string;
  session?: string;
  /** Where it is to be seen, and the medium that was put there last. */
  task?: string;
  attached?: string;
}

/** The world of an upload. Each call may throw Trouble, Refusal, Altered, or an AbortError. */
export interface World {
  checksum(file: Blob): Promise<string>;
  announce(wanted: Wanted, key: string, signal: AbortSignal): Promise<Ticket>;
  giveUp(mediaId: string): Promise<void>;
  /** Whether none of its bytes has been seen by the server yet. */
  isAwaited(mediaId: string, signal: AbortSignal): Promise<boolean>;
  settled(
    mediaId: string,
    signal: AbortSignal,
  ): Promise<{ state: "ready" | "rejected"; reason: string | null }>;
  put(to: SignedRequest, file: Blob, sent: (bytes: number) => void, signal: AbortSignal): Promise<Stored>;
  startSession(to: SignedRequest, size: number, signal: AbortSignal): Promise<string>;
  stand(session: string, size: number, signal: AbortSignal): Promise<Stand>;
  chunk(
    session: string,
    file: Blob,
    from: number,
    to: number,
    sent: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<Stand>;
  endSession(session: string): Promise<void>;
  /** Twice is as good as once. */
  attach(task: string, mediaId: string, signal: AbortSignal): Promise<void>;
  /** To its person, who may be on any page. */
  tell(words: string): void;
  /** Waits so many milliseconds, less when the machine comes back online. */
  rest(milliseconds: number, signal: AbortSignal): Promise<void>;
  keep(record: Saved): Promise<void>;
  forget(key: string): Promise<void>;
}
