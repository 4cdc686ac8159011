import { describe, expect, test } from "vitest";

import { Problem } from "../api/problem";
import type { Phase } from "../uploads/model";
import { carrying } from "./carrying";

class Coming {
  phase: Phase = { name: "checking" };
  renewed: ((mediaId: string) => void) | undefined;
  constructor(public mediaId: string | undefined) {}

  rename(mediaId: string): void {
    this.mediaId = mediaId;
    this.renewed?.(mediaId);
  }
}

const GONE = new Problem(404, "not-found", "There is no such picture");
const known = () => Promise.resolve();

describe("a task that is made while its pictures are on their way", () => {
  test("carries a picture that got another name before, while and after it was made", async () => {
    const [early, meanwhile, after] = [new Coming("a"), new Coming("b"), new Coming("c")];
    const late: string[] = [];
    const making = carrying([early, meanwhile, after], known, (given) => {
      expect(given).toEqual(["a1", "b", "c"]);
      meanwhile.rename("b1");
      return Promise.resolve("task");
    }, (made, mediaId) => late.push(`${made} ${mediaId}`));
    early.rename("a1");
    await making;
    after.rename("c1");
    meanwhile.rename("b2");
    expect(late).toEqual(["task b1", "task c1", "task b2"]);
  });

  test("is made again when a name it was given is none any more", async () => {
    const upload = new Coming("a");
    const given: string[][] = [];
    let waited = 0;
    await carrying([upload], () => {
      if (++waited === 2) upload.rename("a1");
      return Promise.resolve();
    }, (mediaIds) => {
      given.push(mediaIds);
      if (given.length > 1) return Promise.resolve("task");
      upload.mediaId = undefined;
      return Promise.reject(GONE);
    }, () => {});
    expect(given).toEqual([["a"], ["a1"]]);
  });

  test("tells that it cannot be made, when that is not because of a name", async () => {
    const upload = new Coming("a");
    const full = new Problem(409, "conflict", "Full");
    for (const problem of [GONE, full]) {
      let asked = 0;
      const making = carrying([upload], known, () => {
        asked++;
        if (problem === full) upload.rename("a1");
        return Promise.reject(problem);
      }, () => {});
      await expect(making).rejects.toBe(problem);
      expect(asked).toBe(1);
    }
  });

  test("leaves out what was refused", async () => {
    const [refused, good] = [new Coming("a"), new Coming("b")];
    refused.phase = { name: "refused", words: "No room", again: true };
    const given = await carrying([refused, good], known, (ids) => Promise.resolve(ids), () => {});
    expect(given).toEqual(["b"]);
  });
});
