import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type * as Session from "./session";

let session: typeof Session;
const asked: { path: string; bearer: string | null; signal: AbortSignal | null }[] = [];
/** The token that the server takes at present, and whether it takes the cookie. */
let good = 0;
let takesCookie = true;
/** Whoever has the lock, first; a call that asks for it while it has it would wait for ever. */
let turn: Promise<unknown> = Promise.resolve();

function answer(status: number, body: object = {}): Response {
  return status === 204 ? new Response(null, { status }) : Response.json(body, { status });
}

async function server(to: string | Request, init?: RequestInit): Promise<Response> {
  const path = new URL(typeof to === "string" ? to : to.url, "http://app.test").pathname;
  const bearer = typeof to === "string" ? null : to.headers.get("Authorization");
  asked.push({ path, bearer, signal: typeof to === "string" ? (init?.signal ?? null) : to.signal });
  switch (path) {
    case "/api/auth/login": return answer(200, { accessToken: `token${++good}` });
    case "/api/auth/refresh":
      return takesCookie ? answer(200, { accessToken: `token${++good}` }) : answer(401, { title: "Sign in first" });
    case "/api/auth/logout": return answer(204);
    default: return bearer === `Bearer token${good}` ? answer(204) : answer(401, { title: "Sign in first" });
  }
}

beforeEach(async () => {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
  vi.stubGlobal("location", { origin: "http://app.test" });
  const request = (_name: string, act: () => Promise<unknown>) => (turn = turn.then(act, act));
  vi.stubGlobal("navigator", { locks: { request } });
  vi.stubGlobal("fetch", server);
  vi.resetModules();
  session = await import("./session");
  asked.length = 0;
  good = 0;
  takesCookie = true;
  await session.login("ada@example.com", "secret");
});
afterEach(() => vi.unstubAllGlobals());

test("signing out everywhere is carried out although the token has run out", async () => {
  good++;
  await session.logout(true);
  expect(session.sessionState()).toBe("out");
  expect(asked.slice(1).map(({ path, bearer }) => [path, bearer])).toEqual([
    ["/api/auth/logout-all", "Bearer token1"],
    ["/api/auth/refresh", null],
    ["/api/auth/logout-all", "Bearer token3"],
  ]);
});

test("signing out everywhere is not said to be done when it was refused", async () => {
  good++;
  takesCookie = false;
  await expect(session.logout(true)).rejects.toMatchObject({ status: 401 });
});

test("whatever the other tabs wait for has an end", async () => {
  await session.logout();
  await session.login("ada@example.com", "secret");
  expect(asked.map(({ path }) => path)).toEqual(["/api/auth/login", "/api/auth/logout", "/api/auth/login"]);
  for (const { signal } of asked) expect(signal).toBeInstanceOf(AbortSignal);
});
