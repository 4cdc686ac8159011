// The API as the page uses it. The access token lives in this tab's memory only; the refresh token
// is in a cookie that no script can read. What is kept in local storage is no secret: a mark, new
// with every sign-in, that tells the tabs of this browser whether, and as whom, they are signed in.

const MARK = "snaptask.signed-in";
const COOKIE = { "Refresh-Transport": "cookie" };
const LONGEST_REFRESH = 15_000;
let access = null;
let refreshing = null;

export class Problem extends Error {
  constructor(status, body) {
    const fields = (body.errors ?? []).map((one) => `${one.pointer.slice(1)}: ${one.message}`);
    super(fields.join("; ") || body.detail || body.title || `The server answered ${status}`);
    this.status = status;
  }
}

async function ask(path, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = { ...headers };
  if (access) sent.Authorization = `Bearer ${access}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const answer = await fetch(`/api${path}`, {
    method, headers: sent, signal, body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, content);
  return content;
}

// Calls that meet an expired token share one refresh, and tabs take turns: a token is used once.
function refresh() {
  refreshing ??= alone(renew).finally(() => { refreshing = null; });
  return refreshing;
}

// Without the lock two tabs may refresh at once, which the server forgives for half a minute.
function alone(action) {
  return navigator.locks ? navigator.locks.request("snaptask.refresh", action) : action();
}

async function renew() {
  if (!localStorage.getItem(MARK)) return false;
  // A tab whose connection hangs must not keep the others waiting for their turn.
  const signal = AbortSignal.timeout(LONGEST_REFRESH);
  try {
    access = (await ask("/auth/refresh", { method: "POST", headers: COOKIE, signal })).accessToken;
    return true;
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    forget();
    return false;
  }
}

export async function api(path, options) {
  try {
    return await ask(path, options);
  } catch (problem) {
    if (problem.status !== 401 || !(await refresh())) throw problem;
    return ask(path, options);
  }
}

export async function register(email, password) {
  await ask("/auth/register", { method: "POST", body: { email, password } });
  await login(email, password);
}

export async function login(email, password) {
  const body = { email, password };
  const given = await alone(() => ask("/auth/login", { method: "POST", body, headers: COOKIE }));
  access = given.accessToken;
  localStorage.setItem(MARK, crypto.randomUUID());
}

export async function resume() {
  return refresh();
}

export async function logout() {
  forget();
  await alone(() => ask("/auth/logout", { method: "POST", headers: COOKIE }));
}

// `action` is called when another tab signed in or out: what this one shows is then not its own.
export function onOtherTab(action) {
  addEventListener("storage", ({ key }) => { if (key === MARK || key === null) action(); });
}

function forget() {
  access = null;
  localStorage.removeItem(MARK);
}
