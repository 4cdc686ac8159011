// Signing in by another issuer's word, and linking one: the way there, and the way back.
//
// The page is left for the issuer's and comes back to /signed-in with a code, which is taken out of
// the address before anything else happens. What lies in this tab's session storage meanwhile is no
// token: a proof that this browser began, worth nothing without a code that was asked for with it.

import { api, body, type SignInStart } from "../api/client";
import { Problem } from "../api/problem";
import { loginBy, resume, sessionState } from "./session";

const KEPT = "snaptask.other-issuer";
const PLACE = "/signed-in";
const AGAIN = "It took too long, or was used already. Try it again.";

type Aim = "in" | "link";
interface Kept {
  aim: Aim;
  state: string;
  proof: string;
  /** The path one was at, and is again. */
  place: string;
}
type Arrival = { aim: Aim; code: string; proof: string } | { aim: Aim; words: string };

let arrival: Arrival | null = arrived();

export async function startSignIn(): Promise<void> {
  leaveFor(await body(api.POST("/api/auth/provider/start")), "in");
}

/** Throws Problem, also for a wrong password. */
export async function startLink(password: string): Promise<void> {
  leaveFor(await body(api.POST("/api/auth/identities/start", { body: { password } })), "link");
}

/** Who comes back from the issuer is signed in, or has linked it; everybody else goes on as he was.
    Resolves to what there is to be said about it. */
export async function begin(): Promise<string> {
  const entering = arrival && arrival.aim === "in" && "code" in arrival;
  if (!entering) await resume();
  const now = arrival;
  arrival = null;
  if (!now) return "";
  if ("words" in now) return now.words;
  try {
    return await finish(now);
  } catch (error) {
    if (entering) await resume();
    return said(error);
  }
}

async function finish({ aim, code, proof }: Extract<Arrival, { code: string }>): Promise<string> {
  if (aim === "in") {
    await loginBy({ code, proof });
    return "";
  }
  if (sessionState() !== "in") return "You were signed out meanwhile. Sign in, then link it again.";
  const { email } = await body(api.POST("/api/auth/identities", { body: { code, proof } }));
  return email ? `You can sign in as ${email} from now on.` : "You can sign in by it from now on.";
}

function leaveFor({ authorizationUrl, state, proof }: SignInStart, aim: Aim): void {
  if (!authorizationUrl) throw new Problem(0, "", "This page is not one that the issuer sends people back to.");
  const kept: Kept = { aim, state, proof, place: location.pathname };
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
  location.assign(authorizationUrl);
}

function arrived(): Arrival | null {
  if (typeof location === "undefined" || location.pathname !== PLACE) return null;
  const told = new URLSearchParams(location.search);
  const kept = taken();
  const aim = kept?.aim ?? "in";
  // With the origin: a path may begin with two strokes.
  history.replaceState(null, "", location.origin + (kept?.place ?? "/"));
  if (!kept || told.get("state") !== kept.state) {
    return { aim, words: "This did not begin in this tab, so nothing was done. Try it again here." };
  }
  const code = told.get("code");
  if (code) return { aim, code, proof: kept.proof };
  return { aim, words: refusal(told.get("error")) };
}

/** What was kept, once: a way back is gone once. */
function taken(): Kept | null {
  const text = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  return text ? (JSON.parse(text) as Kept) : null;
}

function refusal(error: string | null): string {
  if (error === "access_denied") return "You did not allow it, so nothing was done.";
  if (error === "temporarily_unavailable" || error === "server_error") {
    return "The other side is out of order at the moment. Try it again later.";
  }
  return "The other side refused. Try another way.";
}

function said(error: unknown): string {
  if (!(error instanceof Problem)) return "The server cannot be reached.";
  return error.status === 401 || "proof" in error.fields ? AGAIN : error.words;
}
