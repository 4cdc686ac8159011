// One file on its way: announced, sent, looked at. Small files go in one request; larger ones
// over a resumable session, which is asked where it stands whenever an answer was missing.
// What was announced is signed for a quarter of an hour; the session it opened lives for a week.

import {
  Altered, isOver, next, Refusal, Trouble,
  type Happening, type Phase, type Saved, type SignedRequest, type Stand, type Stored, type Ticket, type World,
} from "./model";

/** Bytes. Below, starting over costs less than a session's own requests. */
export const RESUMABLE_FROM = 8 * 1024 * 1024;
/** Cloud Storage takes multiples of 256 KiB; at most one chunk is ever sent twice. */
export const CHUNK = 8 * 256 * 1024;
/** In a row without a byte stored: about two minutes, then its person decides. */
const ATTEMPTS = 8;
/** In a row with other bytes at the storage than here: not chance, but something in between. */
const ALTERED = 3;
const LONGEST_REST = 30_000;

export class Upload {
  readonly file: File;
  phase: Phase = { name: "waiting" };
  mediaId: string | undefined;
  /** Told when another medium takes the place of the one announced first. */
  renewed: ((mediaId: string) => void) | undefined;
  #record: Saved;
  #world: World;
  #changed: () => void;
  #abort = new AbortController();
  #fruitless = 0;
  #altered = 0;
  #isRenewed = false;
  #isAnother = false;

  constructor(record: Saved, world: World, changed: () => void = () => {}) {
    this.file = record.file;
    this.mediaId = record.mediaId;
    this.#record = record;
    this.#world = world;
    this.#changed = changed;
  }

  get key(): string {
    return this.#record.key;
  }

  get task(): string | undefined {
    return this.#record.task;
  }

  /** Whether its task carries it. */
  get isAttached(): boolean {
    return !!this.task && !!this.mediaId && this.#record.attached === this.mediaId;
  }

  detach(): void {
    delete this.#record.task;
    void this.keep();
    this.#changed();
  }

  /** Returns when the upload is over, or paused. Starting again goes on where it stands. */
  async run(): Promise<void> {
    if (isOver(this.phase) && !(this.phase.name === "refused" && this.phase.again)) return;
    this.#abort = new AbortController();
    this.#fruitless = 0;
    this.#altered = 0;
    this.#isRenewed = false;
    this.#happen({ type: "started" });
    while (!isOver(this.phase) && !this.#abort.signal.aborted) {
      try {
        await this.#once(this.#abort.signal);
      } catch (error) {
        await this.#meet(error);
      }
    }
    if (isOver(this.phase) && !(this.phase.name === "refused" && this.phase.again)) {
      await this.#world.forget(this.key);
    }
  }

  pause(): void {
    this.#happen({ type: "pause" });
    if (this.phase.name === "paused") this.#abort.abort();
  }

  /** Out of this tab, in whatever it is doing. */
  leave(): void {
    this.#abort.abort();
  }

  /** Over a reload. */
  async keep(): Promise<void> {
    // What was cancelled meanwhile is forgotten, and stays so.
    if (!isOver(this.phase)) await this.#world.keep(this.#record);
  }

  /** What was stored of it goes: the session at once, an object that still arrives by its event. */
  async cancel(): Promise<void> {
    const before = this.phase.name;
    this.#happen({ type: "cancel" });
    if (this.phase.name !== "cancelled" || before === "cancelled") return;
    this.#abort.abort();
    await this.#world.forget(this.key);
    await Promise.allSettled([
      this.#record.session ? this.#world.endSession(this.#record.session) : undefined,
      this.mediaId ? this.#world.giveUp(this.mediaId) : undefined,
    ]);
  }

  async #once(signal: AbortSignal): Promise<void> {
    const ticket = await this.#announced(signal);
    if (ticket) await this.#attach(signal);
    if (ticket?.resumable) await this.#sendByParts(ticket.resumable, signal);
    else if (ticket) await this.#sendWhole(ticket.upload, signal);
    else if (await this.#isMissing(signal)) {
      if (!this.#record.session) return this.#sendAsAnother();
      await this.#sendByParts(undefined, signal);
    }
    await this.#attach(signal);
    this.#happen({ type: "arrived" });
    const end = await this.#world.settled(this.mediaId!, signal);
    if (end.reason === "checksum-mismatch") throw new Altered();
    if (end.reason === "never-uploaded" && !this.#isRenewed) return this.#sendAsAnother();
    this.#happen({ type: "settled", ...end });
  }

  /** To its task, as soon as it has a name, which is before its bytes have arrived. A task that
   * does not take it is asked once; the picture is its person's all the same. */
  async #attach(signal: AbortSignal): Promise<void> {
    const { task } = this.#record;
    if (!task || this.isAttached) return;
    try {
      await this.#world.attach(task, this.mediaId!, signal);
      this.#record.attached = this.mediaId!;
    } catch (error) {
      // Who has to sign in again finds it as it was.
      if (!(error instanceof Refusal) || error.status === 401) throw error;
      this.#world.tell(`${this.file.name} is not on its task: ${error.words}`);
      delete this.#record.task;
    }
    await this.keep();
    this.#changed();
  }

  /** Of what is not signed any more: whether that is because its time is over. */
  async #isMissing(signal: AbortSignal): Promise<boolean> {
    // Nothing was ever sent for an announcement whose answer was lost.
    return !this.mediaId || this.#world.isAwaited(this.mediaId, signal);
  }

  /** Its time ran out, in a pause or without a line; once, because a clock may be wrong. */
  async #sendAsAnother(): Promise<void> {
    if (this.#isRenewed) throw new Refusal("The time for this upload is over.");
    this.#isRenewed = true;
    await this.#renew();
    this.#happen({ type: "renewed" });
  }

  /** What was announced is of no use any more, because its time ran out or because other bytes
   * stand there: it is given up, and the next announcement is another medium's. */
  async #renew(): Promise<void> {
    const { mediaId } = this.#record;
    this.#record = { ...this.#record, announcedAs: crypto.randomUUID() };
    delete this.#record.mediaId;
    delete this.#record.session;
    delete this.#record.checksum;
    this.mediaId = undefined;
    this.#isAnother = true;
    await this.keep();
    if (mediaId) await this.#world.giveUp(mediaId).catch(() => {});
  }

  /** Under the same key the same medium is signed anew, however often it is asked for; undefined
   * when it is signed no more: its bytes have arrived already and only the answer was lost, or its
   * time is over. */
  async #announced(signal: AbortSignal): Promise<Ticket | undefined> {
    const { file } = this;
    this.#record.checksum ??= await this.#world.checksum(file);
    const wanted = {
      fileName: file.name,
      contentType: file.type || "application/octet-stream",
      size: file.size,
      crc32c: this.#record.checksum,
    };
    try {
      const ticket = await this.#world.announce(wanted, this.#record.announcedAs ?? this.key, signal);
      this.mediaId = this.#record.mediaId = ticket.mediaId;
      await this.keep();
      if (this.#isAnother) this.renewed?.(ticket.mediaId);
      this.#isAnother = false;
      this.#changed();
      return ticket;
    } catch (error) {
      if (error instanceof Refusal && error.status === 409) return undefined;
      throw error;
    }
  }

  async #sendWhole(to: SignedRequest, signal: AbortSignal): Promise<void> {
    this.#happen({ type: "progress", sent: 0 });
    const sent = (bytes: number) => this.#happen({ type: "progress", sent: bytes });
    this.#compare(await this.#world.put(to, this.file, sent, signal));
  }

  async #sendByParts(to: SignedRequest | undefined, signal: AbortSignal): Promise<void> {
    const { size } = this.file;
    let stand = await this.#opened(to, signal);
    while (typeof stand === "number") {
      this.#happen({ type: "progress", sent: stand });
      const from = stand;
      const end = Math.min(from + CHUNK, size);
      const sent = (bytes: number) => this.#happen({ type: "progress", sent: from + bytes });
      const after = await this.#world.chunk(this.#record.session!, this.file, from, end, sent, signal);
      stand = await this.#believed(after);
      if (typeof stand === "number" && stand <= from) this.#countFruitless();
      else this.#fruitless = 0;
    }
    this.#compare(stand);
  }

  /** What the storage has is what was read here, or the upload has failed. */
  #compare({ crc32c }: Stored): void {
    if (crc32c !== null && crc32c !== this.#record.checksum) throw new Altered();
  }

  /** The session's stand; a session that is no longer known is followed by a new one, as long as
   * it is signed for. */
  async #opened(to: SignedRequest | undefined, signal: AbortSignal): Promise<number | Stored> {
    if (this.#record.session) {
      const stand = await this.#world.stand(this.#record.session, this.file.size, signal);
      if (stand !== "gone" || !to) return this.#believed(stand);
    }
    this.#record.session = await this.#world.startSession(to!, this.file.size, signal);
    await this.keep();
    return 0;
  }

  async #believed(stand: Stand): Promise<number | Stored> {
    if (typeof stand === "object") return stand;
    // At the end without being complete, or beyond it: no session of this file.
    if (stand === "gone" || !Number.isInteger(stand) || stand < 0 || stand >= this.file.size) {
      delete this.#record.session;
      await this.keep();
      throw new Trouble();
    }
    return stand;
  }

  #countFruitless(): void {
    if (++this.#fruitless > ATTEMPTS) throw new Refusal("The storage takes no more of this file.");
  }

  async #meet(error: unknown): Promise<void> {
    if (this.#abort.signal.aborted) return;
    if (error instanceof Refusal) {
      // A person can do something about some refusals (room, sign-in), about others nothing.
      this.#happen({ type: "refused", words: error.words, again: error.status !== 415 });
      return;
    }
    if (error instanceof Altered) return this.#startOver();
    if (!(error instanceof Trouble)) {
      this.#happen({ type: "refused", words: "Something unforeseen happened.", again: true });
      return;
    }
    this.#happen({ type: "broken" });
    if (++this.#fruitless > ATTEMPTS) {
      this.#happen({ type: "refused", words: "The connection keeps breaking.", again: true });
      return;
    }
    const rest = Math.min(500 * 2 ** this.#fruitless, LONGEST_REST) * (0.5 + Math.random() / 2);
    const signal = this.#abort.signal;
    await this.#world.rest(Math.max(rest, error.afterSeconds * 1000), signal).catch(() => {});
  }

  /** As another medium; the one with the wrong bytes is given up, whatever became of it. */
  async #startOver(): Promise<void> {
    this.#happen({ type: "altered" });
    await this.#renew();
    if (++this.#altered < ALTERED) return;
    const words = "It keeps changing on the way to the storage. Try again, best over another connection.";
    this.#happen({ type: "refused", words, again: true });
  }

  #happen(happening: Happening): void {
    const after = next(this.phase, happening);
    if (after === this.phase) return;
    this.phase = after;
    this.#changed();
  }
}
