// A server for tests that stores what it is sent, and drops, delays and lies when told to.

import { crc32cOf } from "./crc32c";
import { Altered, Refusal, Trouble, type Saved, type SignedRequest, type Stand, type Stored, type Ticket, type World } from "./model";
import { RESUMABLE_FROM } from "./upload";

type Call = "announce" | "put" | "attach";

interface Medium {
  size: number;
  crc32c: string;
  expired: boolean;
  swept: boolean;
  object: Uint8Array | undefined;
}

export class Server {
  readonly media = new Map<string, Medium>();
  readonly kept = new Map<string, Saved>();
  readonly rests: number[] = [];
  readonly chunks: number[] = [];
  readonly attached: [task: string, mediaId: string][] = [];
  readonly told: string[] = [];
  readonly givenUp: (string | undefined)[] = [];
  verdict: { state: "ready" | "rejected"; reason: string | null } = { state: "ready", reason: null };
  objectsWritten = 0;
  bytesTaken = 0;
  sessionsStarted = 0;
  cutChunkAt = 0;
  loseLastChunk = false;
  forgetSessionAfter = Number.POSITIVE_INFINITY;
  lie: number | undefined;
  /** So many objects arrive with another byte: stored all the same, or refused for their sum. */
  altered = 0;
  refusesAltered = false;
  tellsSums = true;
  stuck = false;
  neverSettles = false;
  signsNothing = false;
  onPut: (() => void) | undefined;
  onRest: (() => void) | undefined;
  onSettling: (() => void) | undefined;
  onChunk: ((at: number) => unknown) | undefined;
  #sessions = new Map<string, { mediaId: string; parts: Uint8Array[] }>();
  #byKey = new Map<string, string>();
  #lost: Record<Call, number> = { announce: 0, put: 0, attach: 0 };
  #cuts: Record<Call, number> = { announce: 0, put: 0, attach: 0 };
  #failures: Partial<Record<Call, Error>> = {};

  readonly world: World = {
    checksum: crc32cOf,
    announce: async (wanted, key) => {
      this.#throwPlanned("announce");
      const mediaId = this.#byKey.get(key) ?? `medium${this.media.size + 1}`;
      this.#byKey.set(key, mediaId);
      const medium = this.media.get(mediaId) ?? { size: wanted.size, crc32c: wanted.crc32c, expired: false, swept: false, object: undefined };
      this.media.set(mediaId, medium);
      if (this.#lost.announce-- > 0) throw new Trouble();
      if (medium.object || medium.expired || this.signsNothing) throw new Refusal("arrived already, or too late", 409);
      return ticket(mediaId, wanted.size);
    },
    giveUp: async (mediaId) => void this.givenUp.push(mediaId),
    isAwaited: async (mediaId) => {
      const { object, swept } = this.media.get(mediaId)!;
      return !object && !swept;
    },
    settled: async (mediaId, signal) => {
      const medium = this.media.get(mediaId)!;
      this.onSettling?.();
      if (medium.swept) return { state: "rejected", reason: "never-uploaded" };
      // What has not arrived stays pending for a day, however short its signature lives.
      if (!medium.object || this.neverSettles) return aborted(signal);
      const isWhole = (await crc32cOf(new Blob([medium.object as BlobPart]))) === medium.crc32c;
      return isWhole ? this.verdict : { state: "rejected", reason: "checksum-mismatch" };
    },
    attach: async (task, mediaId) => {
      this.#throwPlanned("attach");
      this.attached.push([task, mediaId]);
    },
    tell: (words) => void this.told.push(words),
    put: async (to, file, sent, signal) => {
      this.onPut?.();
      if (signal.aborted) throw new DOMException("aborted", "AbortError");
      sent(Math.floor(file.size / 2));
      if (this.#cuts.put-- > 0) throw new Trouble();
      const medium = this.media.get(to.url)!;
      if (!medium.object) this.#store(medium, this.#carried(new Uint8Array(await file.arrayBuffer())));
      if (this.#lost.put-- > 0) throw new Trouble();
      return this.#sumOf(medium);
    },
    startSession: async (to) => {
      const session = `session${++this.sessionsStarted}`;
      this.#sessions.set(session, { mediaId: to.url, parts: [] });
      return session;
    },
    stand: async (session) => this.#stand(session),
    chunk: async (session, file, from, to, sent, signal) => {
      this.onChunk?.(from);
      if (signal.aborted) throw new DOMException("aborted", "AbortError");
      return this.#take(session, file, from, to, sent);
    },
    endSession: async (session) => void this.#sessions.delete(session),
    rest: async (milliseconds) => {
      this.rests.push(milliseconds);
      this.onRest?.();
    },
    keep: async (record) => void this.kept.set(record.key, { ...record }),
    forget: async (key) => void this.kept.delete(key),
  };

  loseAnswer(call: Call, times: number): void {
    this.#lost[call] = times;
  }

  cut(call: Call, times: number): void {
    this.#cuts[call] = times;
  }

  heal(): void {
    this.#cuts = { announce: 0, put: 0, attach: 0 };
  }

  failNext(call: Call, error: Error): void {
    this.#failures[call] = error;
  }

  /** Nothing is signed any more; a session that was opened goes on. */
  expire(mediaId: string): void {
    this.media.get(mediaId)!.expired = true;
  }

  /** What the sweep does a day later. */
  sweep(mediaId: string): void {
    this.media.get(mediaId)!.swept = true;
  }

  arrive(mediaId: string, bytes: Uint8Array): void {
    this.#store(this.media.get(mediaId)!, bytes);
  }

  loseSessions(): void {
    this.#sessions.clear();
  }

  stored(mediaId: string): Uint8Array | undefined {
    return this.media.get(mediaId)?.object;
  }

  get sessionsOpen(): number {
    return this.#sessions.size;
  }

  async isQuiet(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
  }

  #throwPlanned(call: Call): void {
    const error = this.#failures[call];
    delete this.#failures[call];
    if (error) throw error;
  }

  #store(medium: Medium, bytes: Uint8Array): void {
    medium.object = bytes;
    this.objectsWritten++;
    this.bytesTaken += bytes.length;
  }

  #carried(bytes: Uint8Array): Uint8Array {
    if (this.altered-- <= 0) return bytes;
    if (this.refusesAltered) throw new Altered();
    bytes[0]! ^= 1;
    return bytes;
  }

  async #sumOf(medium: Medium): Promise<Stored> {
    return { crc32c: this.tellsSums ? await crc32cOf(new Blob([medium.object as BlobPart])) : null };
  }

  async #stand(session: string): Promise<Stand> {
    const open = this.#sessions.get(session);
    if (!open) return "gone";
    const medium = this.media.get(open.mediaId)!;
    if (medium.object) return this.#sumOf(medium);
    return open.parts.reduce((sum, part) => sum + part.length, 0);
  }

  async #take(
    session: string, file: Blob, from: number, to: number, sent: (bytes: number) => void,
  ): Promise<Stand> {
    this.chunks.push(to - from);
    if (this.chunks.length === this.forgetSessionAfter) this.#sessions.delete(session);
    const open = this.#sessions.get(session);
    if (!open) return "gone";
    if (this.stuck) return from;
    if (this.lie !== undefined && this.chunks.length === 2) return this.#told();
    if ((await this.#stand(session)) !== from) throw new Error("a chunk that does not fit");
    const cut = this.cutChunkAt && this.chunks.length === 2 ? from + this.cutChunkAt : to;
    const part = new Uint8Array(await file.slice(from, Math.min(to, cut)).arrayBuffer());
    open.parts.push(part);
    this.bytesTaken += part.length;
    sent(part.length);
    if (cut < to) throw new Trouble();
    if (to === file.size) {
      const whole = await new Blob(open.parts as BlobPart[]).arrayBuffer();
      const medium = this.media.get(open.mediaId)!;
      medium.object = this.#carried(new Uint8Array(whole));
      this.objectsWritten++;
      if (this.loseLastChunk) throw new Trouble();
      return this.#sumOf(medium);
    }
    return this.#stand(session);
  }

  #told(): number {
    const lie = this.lie!;
    this.lie = undefined;
    return lie;
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const give = () => reject(new DOMException("aborted", "AbortError"));
    if (signal.aborted) give();
    signal.addEventListener("abort", give);
  });
}

function ticket(mediaId: string, size: number): Ticket {
  const to: SignedRequest = { method: "PUT", url: mediaId, headers: {} };
  return { mediaId, upload: to, resumable: size >= RESUMABLE_FROM ? to : null };
}
