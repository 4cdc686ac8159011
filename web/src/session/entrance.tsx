// Sign up, sign in, or ask for a new password.

import { type SyntheticEvent, useState } from "react";

import { api, body } from "../api/client";
import { Problem } from "../api/problem";
import { textOf } from "../ui/form";
import { useTitle } from "../ui/title";
import styles from "./entrance.module.css";
import { Others } from "./others";
import { login } from "./session";

type Way = "in" | "up" | "reset";
interface Words {
  text: string;
  isBad: boolean;
}
const TITLES: Record<Way, string> = { in: "Sign in", up: "Sign up", reset: "Send a link" };

/** `said` is about how one came here. */
export function Entrance({ said }: { said: string }) {
  const [way, setWay] = useState<Way>("in");
  useTitle(TITLES[way]);
  const [busy, setBusy] = useState(false);
  const [words, setWords] = useState<Words | null>(said ? { text: said, isBad: true } : null);

  async function submit(event: SyntheticEvent<HTMLFormElement>) {
    event.preventDefault();
    const email = textOf(event.currentTarget, "email").trim();
    const password = textOf(event.currentTarget, "password");
    setBusy(true);
    setWords(null);
    try {
      if (way === "reset") {
        await body(api.POST("/api/auth/password-reset", { body: { email } }));
        setWords({ text: "If the address has an account, a link is on its way to it.", isBad: false });
      } else {
        if (way === "up") await body(api.POST("/api/auth/register", { body: { email, password } }));
        await login(email, password);
      }
    } catch (error) {
      setWords(refusal(error, way));
    } finally {
      setBusy(false);
    }
  }

  return (
    <main className={styles.entrance}>
      <form onSubmit={(event) => void submit(event)}>
        <h1>Tasks that carry pictures</h1>
        <label>E-mail address
          <input name="email" type="email" autoComplete="username" required maxLength={254} />
        </label>
        {way === "reset" ? null : (
          <label>Password
            <input
              name="password" type="password" required maxLength={256} key={way}
              autoComplete={way === "up" ? "new-password" : "current-password"}
            />
            {way === "up" ? <small>Long and easy to remember beats short and odd.</small> : null}
          </label>
        )}
        {words ? <p role="alert" className={words.isBad ? "error" : ""}>{words.text}</p> : null}
        <button type="submit" disabled={busy}>{TITLES[way]}</button>
        {way === "reset" ? null : <Others />}
        <div className={styles.ways}>
          {(["in", "up", "reset"] as const).filter((one) => one !== way).map((one) => (
            <button key={one} type="button" className="quiet" onClick={() => { setWay(one); setWords(null); }}>
              {one === "reset" ? "Forgot the password" : TITLES[one]}
            </button>
          ))}
        </div>
      </form>
    </main>
  );
}

function refusal(error: unknown, way: Way): Words {
  if (!(error instanceof Problem)) return { text: "The server cannot be reached.", isBad: true };
  if (way === "up" && error.status === 403) {
    return { text: "Open the link in your mail, then sign in.", isBad: false };
  }
  if (way === "up" && error.status === 401) {
    return { text: "Look into your mail: this address may have an account already.", isBad: true };
  }
  const [field] = Object.entries(error.fields);
  return { text: field ? `The ${field[0]} ${field[1]}.` : error.words, isBad: true };
}
