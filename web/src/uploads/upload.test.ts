import { describe, expect, test } from "vitest";

import { Server } from "./fake-server";
import { next, Refusal, Trouble, type Happening, type Phase, type Saved } from "./model";
import { CHUNK, RESUMABLE_FROM, Upload } from "./upload";

function file(size: number, type = "image/png"): File {
  const bytes = new Uint8Array(size).map((_, at) => (at * 31 + (at >> 8)) & 0xff);
  return new File([bytes], "photo.png", { type });
}

function record(of: File): Saved {
  return { key: crypto.randomUUID(), owner: "ada", file: of, startedAt: 0 };
}

const SMALL = 100_000;
const LARGE = RESUMABLE_FROM + CHUNK + 12_345;

function begin(size: number, server = new Server()) {
  const saved = record(file(size));
  const phases: string[] = [];
  const upload = new Upload(saved, server.world, () => {
    if (phases.at(-1) !== upload.phase.name) phases.push(upload.phase.name);
  });
  return { server, upload, saved, phases };
}

describe("a small file", () => {
  test("goes in one request and is ready", async () => {
    const { server, upload, phases } = begin(SMALL);
    await upload.run();
    expect(phases).toEqual(["preparing", "sending", "checking", "ready"]);
    expect(await isStored(server, upload.mediaId!, upload.file)).toBe(true);
  });

  test("survives a lost announcement and is announced once", async () => {
    const { server, upload } = begin(SMALL);
    server.loseAnswer("announce", 2);
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect(server.media.size).toBe(1);
  });

  test("that broke in the middle is sent again from its start", async () => {
    const { server, upload, phases } = begin(SMALL);
    server.cut("put", 3);
    await upload.run();
    expect(phases).toContain("retrying");
    expect(upload.phase.name).toBe("ready");
    expect(await isStored(server, upload.mediaId!, upload.file)).toBe(true);
  });

  test("whose arrival was not answered is not sent twice", async () => {
    const { server, upload } = begin(SMALL);
    server.loseAnswer("put", 1);
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect(server.objectsWritten).toBe(1);
  });

  test("waits as long as the server asks", async () => {
    const { server, upload } = begin(SMALL);
    server.failNext("announce", new Trouble(77));
    await upload.run();
    expect(server.rests[0]).toBeGreaterThanOrEqual(77_000);
  });

  test("that is refused says why and is not sent", async () => {
    const { server, upload } = begin(SMALL);
    server.failNext("announce", new Refusal("There is no room left.", 403));
    await upload.run();
    expect(upload.phase).toEqual({ name: "refused", words: "There is no room left.", again: true });
    expect(server.objectsWritten).toBe(0);
  });

  test("that was refused for want of room can be tried again", async () => {
    const { server, upload } = begin(SMALL);
    server.failNext("announce", new Refusal("There is no room left.", 403));
    await upload.run();
    await upload.run();
    expect(upload.phase.name).toBe("ready");
  });

  test("of a type that is not taken stays refused", async () => {
    const { server, upload } = begin(SMALL);
    server.failNext("announce", new Refusal("This kind of file is not taken.", 415));
    await upload.run();
    await upload.run();
    expect(upload.phase.name).toBe("refused");
  });

  test("that the checks reject tells the reason", async () => {
    const { server, upload } = begin(SMALL);
    server.verdict = { state: "rejected", reason: "infected" };
    await upload.run();
    expect(upload.phase).toEqual({ name: "rejected", reason: "infected" });
  });

  test("over a line that never holds gives up and can be tried again", async () => {
    const { server, upload } = begin(SMALL);
    server.cut("put", 1000);
    await upload.run();
    expect(upload.phase.name).toBe("refused");
    server.heal();
    await upload.run();
    expect(upload.phase.name).toBe("ready");
  });

  test("whose time ran out is given up and sent as another medium, and its task told", async () => {
    const { server, upload } = begin(SMALL);
    await upload_until_announced(server, upload);
    server.expire("medium1");
    const renewed: string[] = [];
    upload.renewed = (mediaId) => renewed.push(mediaId);
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect([upload.mediaId, server.givenUp, renewed]).toEqual(["medium2", ["medium1"], ["medium2"]]);
    expect(await isStored(server, "medium2", upload.file)).toBe(true);
    expect(server.kept.size).toBe(0);
  });

  test("whose time ran out before a reload is sent as another medium", async () => {
    const { server, upload } = begin(SMALL);
    await upload_until_announced(server, upload);
    server.expire("medium1");
    const [kept] = [...server.kept.values()];
    const reloaded = new Upload(structuredClone(kept!), server.world);
    await reloaded.run();
    expect([reloaded.phase.name, reloaded.mediaId]).toEqual(["ready", "medium2"]);
  });

  test("whose time ran out without its name being known here is announced as another", async () => {
    const { server, upload } = begin(SMALL);
    server.loseAnswer("announce", 1);
    server.onRest = () => server.expire("medium1");
    await upload.run();
    expect([upload.phase.name, upload.mediaId]).toEqual(["ready", "medium2"]);
  });

  test("is told in words when the time for it is over at once, again and again", async () => {
    const { server, upload } = begin(SMALL);
    server.signsNothing = true;
    await upload.run();
    expect(upload.phase).toEqual({ name: "refused", words: "The time for this upload is over.", again: true });
    expect(server.media.size).toBe(2);
  });

  test("that arrived before its time was over is not sent again", async () => {
    const { server, upload } = begin(SMALL);
    server.loseAnswer("put", 1);
    server.onRest = () => server.expire("medium1");
    await upload.run();
    expect([upload.phase.name, upload.mediaId, server.objectsWritten]).toEqual(["ready", "medium1", 1]);
    expect(server.givenUp).toEqual([]);
  });

  test("that the sweep gave up is sent once more", async () => {
    const { server, upload } = begin(SMALL);
    server.onSettling = () => server.sweep("medium1");
    await upload.run();
    expect([upload.phase.name, upload.mediaId]).toEqual(["ready", "medium2"]);
  });

  test("can be cancelled while it is checked, and is given up", async () => {
    const { server, upload } = begin(SMALL);
    server.neverSettles = true;
    server.onSettling = () => void upload.cancel();
    await upload.run();
    await server.isQuiet();
    expect(upload.phase.name).toBe("cancelled");
    expect([server.givenUp, server.kept.size]).toEqual([["medium1"], 0]);
  });
});

async function upload_until_announced(server: Server, upload: Upload): Promise<void> {
  server.onPut = () => upload.pause();
  await upload.run();
  server.onPut = undefined;
  expect(upload.phase.name).toBe("paused");
}

async function upload_half(server: Server, upload: Upload): Promise<void> {
  server.onChunk = (at) => at >= LARGE / 2 && upload.pause();
  await upload.run();
  server.onChunk = undefined;
  expect(upload.phase.name).toBe("paused");
}

describe("a large file", () => {
  test("goes in chunks that are multiples of 256 KiB", async () => {
    const { server, upload } = begin(LARGE);
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect(server.chunks.length).toBe(Math.ceil(LARGE / CHUNK));
    expect(server.chunks.slice(0, -1).every((size) => size % (256 * 1024) === 0)).toBe(true);
    expect(await isStored(server, upload.mediaId!, upload.file)).toBe(true);
  });

  test("goes on where it stands after a reload and sends at most one chunk again", async () => {
    const { server, upload } = begin(LARGE);
    await upload_half(server, upload);
    const before = server.bytesTaken;
    const [kept] = [...server.kept.values()];
    const reloaded = new Upload(structuredClone(kept!), server.world);
    await reloaded.run();
    expect(reloaded.phase.name).toBe("ready");
    expect(server.bytesTaken - before).toBeLessThanOrEqual(LARGE / 2 + CHUNK);
    expect(server.bytesTaken).toBeLessThanOrEqual(LARGE + CHUNK);
    expect(await isStored(server, reloaded.mediaId!, upload.file)).toBe(true);
    expect(server.kept.size).toBe(0);
  });

  test("goes on in its session although the time of its announcement is over", async () => {
    const { server, upload } = begin(LARGE);
    await upload_half(server, upload);
    server.expire("medium1");
    await upload.run();
    expect([upload.phase.name, upload.mediaId, server.sessionsStarted]).toEqual(["ready", "medium1", 1]);
    expect(server.bytesTaken).toBeLessThanOrEqual(LARGE + CHUNK);
    expect(await isStored(server, "medium1", upload.file)).toBe(true);
  });

  test("whose session is gone and whose time is over is sent as another medium", async () => {
    const { server, upload } = begin(LARGE);
    await upload_half(server, upload);
    server.expire("medium1");
    server.loseSessions();
    await upload.run();
    expect([upload.phase.name, upload.mediaId, server.givenUp]).toEqual(["ready", "medium2", ["medium1"]]);
    expect(await isStored(server, "medium2", upload.file)).toBe(true);
  });

  test("that the sweep gave up is sent as another medium, and none of it into the old session", async () => {
    const { server, upload } = begin(LARGE);
    await upload_half(server, upload);
    const before = server.bytesTaken;
    server.expire("medium1");
    server.sweep("medium1");
    await upload.run();
    expect([upload.phase.name, upload.mediaId]).toEqual(["ready", "medium2"]);
    expect(server.bytesTaken - before).toBe(LARGE);
  });

  test("believes the server that stored half a chunk", async () => {
    const { server, upload } = begin(LARGE);
    server.cutChunkAt = 256 * 1024 * 3;
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect(await isStored(server, upload.mediaId!, upload.file)).toBe(true);
  });

  test("whose last answer was lost is complete, not sent again", async () => {
    const { server, upload } = begin(LARGE);
    server.loseLastChunk = true;
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect(server.bytesTaken).toBe(LARGE);
  });

  test("starts a new session when the old one is gone", async () => {
    const { server, upload } = begin(LARGE);
    server.forgetSessionAfter = 2;
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect(server.sessionsStarted).toBe(2);
  });

  test.each([-1, 0.5, LARGE, LARGE * 2, Number.NaN])(
    "does not believe a stand of %d and starts over",
    async (lie) => {
      const { server, upload } = begin(LARGE);
      server.lie = lie;
      await upload.run();
      expect(upload.phase.name).toBe("ready");
      expect(await isStored(server, upload.mediaId!, upload.file)).toBe(true);
    },
  );

  test("gives up on a server that never takes a byte", async () => {
    const { server, upload } = begin(LARGE);
    server.stuck = true;
    await upload.run();
    expect(upload.phase.name).toBe("refused");
    expect(server.chunks.length).toBeLessThan(20);
  });

  test("that is cancelled leaves nothing behind", async () => {
    const { server, upload } = begin(LARGE);
    server.onChunk = () => void upload.cancel();
    await upload.run();
    await server.isQuiet();
    expect(upload.phase.name).toBe("cancelled");
    expect(server.sessionsOpen).toBe(0);
    expect(server.kept.size).toBe(0);
    expect(server.givenUp).toEqual([upload.mediaId]);
  });
});

describe("a file for a task", () => {
  function beginFor(task: string, size = SMALL, server = new Server()) {
    const upload = new Upload({ ...record(file(size)), task }, server.world);
    return { server, upload };
  }

  test("is put there before its bytes are sent", async () => {
    const { server, upload } = beginFor("task1");
    const seen: unknown[] = [];
    server.onPut = () => seen.push(...server.attached);
    await upload.run();
    expect(seen).toEqual([["task1", "medium1"]]);
    expect([upload.isAttached, server.attached.length]).toEqual([true, 1]);
  });

  test("is put there once, however often its line breaks", async () => {
    const { server, upload } = beginFor("task1");
    server.cut("put", 5);
    await upload.run();
    expect([upload.phase.name, server.attached]).toEqual(["ready", [["task1", "medium1"]]]);
  });

  test("is put there after a reload that came between its announcement and that", async () => {
    const { server, upload } = beginFor("task1");
    server.failNext("attach", new Trouble());
    server.onRest = () => upload.leave();
    await upload.run();
    server.onRest = undefined;
    expect(server.attached).toEqual([]);
    const [kept] = [...server.kept.values()];
    await new Upload(structuredClone(kept!), server.world).run();
    expect(server.attached).toEqual([["task1", "medium1"]]);
  });

  test("is put there although it had arrived already", async () => {
    const { server, upload } = beginFor("task1");
    server.failNext("attach", new Trouble());
    const bytes = new Uint8Array(await upload.file.arrayBuffer());
    server.onRest = () => server.arrive("medium1", bytes);
    await upload.run();
    expect(server.objectsWritten).toBe(1);
    expect(server.attached).toEqual([["task1", "medium1"]]);
  });

  test("is put there as the other medium that it became", async () => {
    const { server, upload } = beginFor("task1", SMALL, Object.assign(new Server(), { altered: 1 }));
    await upload.run();
    expect(server.attached).toEqual([["task1", "medium1"], ["task1", "medium2"]]);
  });

  test("that the task does not take is told once, and is its person's all the same", async () => {
    const { server, upload } = beginFor("task1");
    server.failNext("attach", new Refusal("A task takes up to 100 pictures", 409));
    server.cut("put", 5);
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect(server.told).toEqual(["photo.png is not on its task: A task takes up to 100 pictures"]);
    expect([server.attached, upload.task]).toEqual([[], undefined]);
  });

  test("whose person has to sign in again keeps its task", async () => {
    const { server, upload } = beginFor("task1");
    server.failNext("attach", new Refusal("Sign in first", 401));
    await upload.run();
    expect([upload.phase.name, upload.task, server.told]).toEqual(["refused", "task1", []]);
    await upload.run();
    expect([upload.phase.name, server.attached]).toEqual(["ready", [["task1", "medium1"]]]);
  });

  test("that was taken off its task is not put there again when it changes on the way", async () => {
    const { server, upload } = beginFor("task1", SMALL, Object.assign(new Server(), { altered: 1 }));
    server.onPut = () => upload.detach();
    await upload.run();
    expect([upload.phase.name, server.attached]).toEqual(["ready", [["task1", "medium1"]]]);
  });
});

describe.each([["small", SMALL], ["large", LARGE]])("a %s file that changes on the way", (_, size) => {
  test.each([
    ["is noticed by the sum that the storage tells", {}],
    ["is noticed by the storage", { refusesAltered: true }],
    ["is noticed by the checks, where the storage tells no sum", { tellsSums: false }],
  ])("%s, given up and sent again as another medium", async (_how, how) => {
    const { server, upload, phases } = begin(size, Object.assign(new Server(), how, { altered: 2 }));
    const renewed: string[] = [];
    upload.renewed = (mediaId) => renewed.push(mediaId);
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect(phases).toContain("retrying");
    expect(await isStored(server, upload.mediaId!, upload.file)).toBe(true);
    expect(server.givenUp).toEqual(["medium1", "medium2"]);
    expect(upload.mediaId).toBe("medium3");
    expect(renewed).toEqual(["medium2", "medium3"]);
    expect(server.kept.size).toBe(0);
  });

  test("every time is told in words, and can be tried again", async () => {
    const { server, upload } = begin(size, Object.assign(new Server(), { altered: 3 }));
    await upload.run();
    expect(upload.phase).toMatchObject({ name: "refused", again: true });
    expect(upload.phase.name === "refused" && upload.phase.words).toContain("changing on the way");
    expect(server.givenUp).toEqual(["medium1", "medium2", "medium3"]);
    await upload.run();
    expect(upload.phase.name).toBe("ready");
    expect(await isStored(server, upload.mediaId!, upload.file)).toBe(true);
  });
});

describe("the phases", () => {
  const sending: Phase = { name: "sending", sent: 5 };
  test.each<[Phase, Happening]>([
    [{ name: "cancelled" }, { type: "progress", sent: 9 }],
    [{ name: "cancelled" }, { type: "arrived" }],
    [{ name: "cancelled" }, { type: "started" }],
    [{ name: "cancelled" }, { type: "renewed" }],
    [{ name: "cancelled" }, { type: "settled", state: "ready", reason: null }],
    [{ name: "ready" }, { type: "cancel" }],
    [{ name: "ready" }, { type: "broken" }],
    [{ name: "rejected", reason: "x" }, { type: "started" }],
    [{ name: "paused", sent: 5 }, { type: "progress", sent: 9 }],
    [{ name: "paused", sent: 5 }, { type: "broken" }],
    [{ name: "checking" }, { type: "pause" }],
    [{ name: "checking" }, { type: "progress", sent: 1 }],
    [sending, { type: "settled", state: "ready", reason: null }],
    [{ name: "refused", words: "no", again: false }, { type: "started" }],
  ])("%o does not heed %o", (phase, happening) => {
    expect(next(phase, happening)).toBe(phase);
  });

  test("a pause keeps what was sent", () => {
    expect(next(sending, { type: "pause" })).toEqual({ name: "paused", sent: 5 });
  });

  test("what changed on the way is sent from its start, even when it is being checked already", () => {
    const altered = { name: "retrying", sent: 0, isAltered: true };
    expect(next(sending, { type: "altered" })).toEqual(altered);
    expect(next({ name: "checking" }, { type: "altered" })).toEqual(altered);
    expect(next({ name: "cancelled" }, { type: "altered" })).toEqual({ name: "cancelled" });
  });

  test("a break while sending keeps what was sent", () => {
    expect(next(sending, { type: "broken" })).toEqual({ name: "retrying", sent: 5 });
  });
});

/** Element by element, a matcher takes seconds for what this compares in milliseconds. */
async function isStored(server: Server, mediaId: string, of: Blob): Promise<boolean> {
  const sent = new Uint8Array(await of.arrayBuffer());
  const stored = server.stored(mediaId);
  return stored?.length === sent.length && stored.every((byte, at) => byte === sent[at]);
}
