// What a mail's link opens. The token stands behind the `#`, which no browser sends to a server.

import { type SyntheticEvent, useState } from "react";

import { api, body } from "../api/client";
import { Problem } from "../api/problem";
import { textOf } from "../ui/form";
import { useTitle } from "../ui/title";
import styles from "./entrance.module.css";

type Purpose = "verify-email" | "reset-password" | "change-email";
export interface MailLink {
  purpose: Purpose;
  token: string;
}

const TEXTS: Record<Purpose, { title: string; field: string | null; button: string; done: string }> = {
  "verify-email": {
    title: "Confirm your address", field: "Your password", button: "Confirm", done: "Your address is confirmed.",
  },
  "reset-password": {
    title: "Choose a new password", field: "New password", button: "Set it",
    done: "The password is set. All devices were signed out.",
  },
  "change-email": {
    title: "Use this address", field: null, button: "Use it", done: "This is your address from now on.",
  },
};

export function linkIn(hash: string): MailLink | null {
  const match = /^#(verify-email|reset-password|change-email)=([\w.~-]+)$/.exec(hash);
  return match ? { purpose: match[1] as Purpose, token: match[2]! } : null;
}

export function LinkPage({ link }: { link: MailLink }) {
  const { title, field, button, done } = TEXTS[link.purpose];
  useTitle(title);
  const [state, setState] = useState<"asking" | "busy" | "done">("asking");
  const [words, setWords] = useState("");

  async function submit(event: SyntheticEvent<HTMLFormElement>) {
    event.preventDefault();
    const password = textOf(event.currentTarget, "password");
    setState("busy");
    setWords("");
    try {
      await follow(link, password);
      history.replaceState(null, "", "/");
      setState("done");
    } catch (error) {
      setWords(error instanceof Problem ? said(error) : "The server cannot be reached.");
      setState("asking");
    }
  }

  return (
    <main className={styles.entrance}>
      <form onSubmit={(event) => void submit(event)}>
        <h1>{title}</h1>
        {state === "done" ? <p role="status">{done}</p> : null}
        {state !== "done" && field ? (
          <label>{field}<input name="password" type="password" required maxLength={256} autoFocus /></label>
        ) : null}
        {words ? <p role="alert" className="error">{words}</p> : null}
        {state === "done" ? (
          <button type="button" onClick={() => location.replace("/")}>Go on</button>
        ) : (
          <button type="submit" disabled={state === "busy"}>{button}</button>
        )}
      </form>
    </main>
  );
}

function said(problem: Problem): string {
  if ("token" in problem.fields) return "This link is used or too old. Ask for another one.";
  const [field] = Object.entries(problem.fields);
  return field ? `The ${field[0]} ${field[1]}.` : problem.words;
}

async function follow({ purpose, token }: MailLink, password: string): Promise<void> {
  if (purpose === "verify-email") {
    await body(api.POST("/api/auth/verify-email", { body: { token, password } }));
  } else if (purpose === "reset-password") {
    await body(api.POST("/api/auth/password-reset/confirm", { body: { token, password } }));
  } else {
    await body(api.POST("/api/auth/email/confirm", { body: { token } }));
  }
}
