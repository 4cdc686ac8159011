// The API as the page uses it. The access token lives in memory only; the refresh token lives in
// the tab's session storage, so a reload stays signed in and a closed tab does not.

const REFRESH = "snaptask.refresh";
let access = null;
let refreshing = null;

export class Problem extends Error {
  constructor(status, body) {
    const fields = (body.errors ?? []).map((one) => `${one.pointer.slice(1)}: ${one.message}`);
    super(fields.join("; ") || body.detail || body.title || `The server answered ${status}`);
    this.status = status;
  }
}

async function ask(path, { method = "GET", body, headers = {} } = {}) {
  const sent = { ...headers };
  if (access) sent.Authorization = `Bearer ${access}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const answer = await fetch(`/api${path}`, {
    method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, content);
  return content;
}

// Two calls that meet an expired token share one refresh: the token can be used once.
function refresh() {
  refreshing ??= renew().finally(() => { refreshing = null; });
  return refreshing;
}

async function renew() {
  const refreshToken = sessionStorage.getItem(REFRESH);
  if (!refreshToken) return false;
  try {
    keep(await ask("/auth/refresh", { method: "POST", body: { refreshToken } }));
    return true;
  } catch (problem) {
    if (problem.status === 401) forget();
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
  keep(await ask("/auth/login", { method: "POST", body: { email, password } }));
}

export async function resume() {
  return refresh();
}

export async function logout() {
  const refreshToken = sessionStorage.getItem(REFRESH);
  forget();
  if (refreshToken) await ask("/auth/logout", { method: "POST", body: { refreshToken } });
}

function keep({ accessToken, refreshToken }) {
  access = accessToken;
  sessionStorage.setItem(REFRESH, refreshToken);
}

function forget() {
  access = null;
  sessionStorage.removeItem(REFRESH);
}
