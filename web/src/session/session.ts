// Who is signed in. The access token lives in this tab's memory only; the refresh token is in a
// cookie that no script can read. What is kept in local storage is no secret: a mark, new with
// every sign-in, that tells the tabs of this browser whether, and as whom, they are signed in.

import { Problem, problemOf } from "../api/problem";

const MARK = "snaptask.signed-in";
const COOKIE = { "Refresh-Transport": "cookie" };
/** Milliseconds. A tab whose connection hangs must not keep the others waiting for their turn. */
const LONGEST_TURN = 15_000;

export type State = "unknown" | "in" | "out";

let access: string | null = null;
let state: State = "unknown";
let refreshing: Promise<boolean> | null = null;
const listeners = new Set<() => void>();

export function sessionState(): State {
  return state;
}

export function onSession(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Another tab signed in or out: what this one shows is then not its own. */
export function watchOtherTabs(changed: () => void): void {
  addEventListener("storage", ({ key }) => {
    if (key === MARK || key === null) changed();
  });
}

/** Sends a request as who is signed in, and once more with a new token when the old one ran out. */
export async function authorized(request: Request): Promise<Response> {
  const again = request.clone();
  const answer = await fetch(withToken(request));
  if (answer.status !== 401 || state === "out") return answer;
  if (!(await refresh())) return answer;
  return fetch(withToken(again));
}

export async function resume(): Promise<void> {
  if (localStorage.getItem(MARK)) await refresh();
  else become("out");
}

export function login(email: string, password: string): Promise<void> {
  return enter("/api/auth/login", { email, password });
}

/** With what another issuer gave (provider.ts). */
export function loginBy(word: { code: string; proof: string }): Promise<void> {
  return enter("/api/auth/provider", word);
}

async function enter(path: string, body: object): Promise<void> {
  const given = await alone(() => post(path, COOKIE, body));
  access = ((await given.json()) as { accessToken: string }).accessToken;
  localStorage.setItem(MARK, crypto.randomUUID());
  become("in");
}

export async function logout(everywhere = false): Promise<void> {
  if (everywhere) await logoutAll();
  else await alone(() => post("/api/auth/logout", COOKIE));
  forget();
}

/** As who is signed in, whose token may have run out; not in turn, because the refresh is. */
async function logoutAll(): Promise<void> {
  const to = new URL("/api/auth/logout-all", location.origin);
  const signal = AbortSignal.timeout(LONGEST_TURN);
  await good(await authorized(new Request(to, { method: "POST", headers: COOKIE, signal })));
}

/** Calls that meet an expired token share one refresh, and tabs take turns. */
function refresh(): Promise<boolean> {
  refreshing ??= alone(renew).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function renew(): Promise<boolean> {
  try {
    const given = await post("/api/auth/refresh", COOKIE);
    access = ((await given.json()) as { accessToken: string }).accessToken;
    become("in");
    return true;
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    forget();
    return false;
  }
}

async function post(path: string, headers: Record<string, string>, body?: object): Promise<Response> {
  return good(await fetch(path, {
    method: "POST",
    headers: body ? { ...headers, "Content-Type": "application/json" } : headers,
    body: body ? JSON.stringify(body) : null,
    signal: AbortSignal.timeout(LONGEST_TURN),
  }));
}

async function good(answer: Response): Promise<Response> {
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

function withToken(request: Request): Request {
  const sent = new Request(request);
  if (access) sent.headers.set("Authorization", `Bearer ${access}`);
  return sent;
}

/** Without the lock two tabs may refresh at once, which the server forgives for half a minute. */
function alone<T>(action: () => Promise<T>): Promise<T> {
  if (!navigator.locks) return action();
  return navigator.locks.request("snaptask.refresh", action) as Promise<T>;
}

function forget(): void {
  access = null;
  localStorage.removeItem(MARK);
  become("out");
}

function become(next: State): void {
  if (state === next) return;
  state = next;
  for (const listener of listeners) listener();
}
