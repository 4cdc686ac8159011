import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { api, body } from "../api/client";
import { leave, useMe } from "../app";
import { showHelp } from "../keys/keys";
import { saveFrom } from "../media/save";
import styles from "../tasks/tasks.module.css";
import { Failed } from "../ui/failed";
import { ask } from "../ui/ask";
import { textOf } from "../ui/form";
import { tell, tellProblem } from "../ui/notices";
import { useTitle } from "../ui/title";
import { said } from "./said";
import { FirstPassword, useWays, Ways } from "./ways";
import { Whose } from "./whose";

export default function AccountPage() {
  useTitle("Account");
  const me = useMe().data;
  const email = me?.email ?? "";
  const hasPassword = useWays().data?.hasPassword ?? true;
  return (
    <>
      <h1>Account</h1>
      <div className={styles.page}>
        <div className={styles.panel}>
          <h2>You</h2>
          <p>{me?.email} {me?.emailVerified ? null : <span className="small">(not confirmed yet: open the link in your mail)</span>}</p>
          {me ? <NameForm key={me.name} name={me.name} /> : null}
          <p><button type="button" className="plain" onClick={() => void showHelp().catch(tellProblem)}>Keys</button></p>
          {hasPassword ? <PasswordForm email={email} /> : (
            <>
              <h2>Password</h2>
              <FirstPassword email={email} why="You have none: you sign in by another way. With a password you could link and unlink such ways." />
            </>
          )}
        </div>
        <div className={styles.panel}>
          <Ways email={email} />
          <Sessions />
        </div>
        <div className={styles.panel}>
          <h2>Your data</h2>
          <Export />
          {hasPassword ? <EraseForm email={email} /> : <p className="small">To erase the account, set a password first.</p>}
        </div>
      </div>
    </>
  );
}

function NameForm({ name }: { name: string }) {
  const client = useQueryClient();
  async function save(event: SyntheticEvent<HTMLFormElement>) {
    event.preventDefault();
    const given = textOf(event.currentTarget, "name");
    try {
      await body(api.PATCH("/api/auth/me", { body: { name: given } }));
      await client.invalidateQueries({ queryKey: ["me"] });
      tell("Saved.");
    } catch (error) {
      tellProblem(error);
    }
  }
  return (
    <form className={styles.form} onSubmit={(event) => void save(event)}>
      <label>Name<input name="name" defaultValue={name} maxLength={80} autoComplete="name" /></label>
      <button type="submit" className="plain">Save the name</button>
    </form>
  );
}

function PasswordForm({ email }: { email: string }) {
  const [words, setWords] = useState("");
  async function save(event: SyntheticEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    setWords("");
    try {
      await body(api.POST("/api/auth/password", {
        body: { currentPassword: textOf(form, "current"), newPassword: textOf(form, "new") },
      }));
      form.reset();
      tell("The password is changed. Your other devices were signed out.");
    } catch (error) {
      setWords(said(error));
    }
  }
  return (
    <form className={styles.form} onSubmit={(event) => void save(event)}>
      <h2>Password</h2>
      <Whose email={email} />
      <label>Present password<input name="current" type="password" required maxLength={256} autoComplete="current-password" /></label>
      <label>New password<input name="new" type="password" required maxLength={256} autoComplete="new-password" /></label>
      {words ? <p role="alert" className="error">{words}</p> : null}
      <button type="submit" className="plain">Change the password</button>
    </form>
  );
}

function Sessions() {
  const client = useQueryClient();
  const sessions = useQuery({
    queryKey: ["sessions"], queryFn: ({ signal }) => body(api.GET("/api/auth/sessions", { signal })),
  });
  async function end(session_id: string) {
    try {
      await body(api.DELETE("/api/auth/sessions/{session_id}", { params: { path: { session_id } } }));
    } catch (error) {
      tellProblem(error);
    }
    await client.invalidateQueries({ queryKey: ["sessions"] });
  }
  return (
    <>
      <h2>Where you are signed in</h2>
      {sessions.isError && !sessions.data ? <Failed error={sessions.error} again={() => void sessions.refetch()} /> : null}
      <ul>
        {sessions.data?.items.map((one) => (
          <li key={one.id} className={styles.session}>
            <span>
              {one.device ?? "Unknown device"} {one.current ? <strong>(this one)</strong> : null}
              <br /><span className="small">last used {new Date(one.lastUsedAt).toLocaleString()}</span>
            </span>
            {one.current ? null : <button type="button" className="quiet" aria-label={`Sign out ${one.device ?? "the unknown device"}`} onClick={() => void end(one.id)}>Sign out</button>}
          </li>
        ))}
      </ul>
      <button type="button" className="plain" onClick={() => void leave(true)}>Sign out everywhere</button>
    </>
  );
}

function Export() {
  async function save() {
    try {
      await saveFrom("/api/auth/export", "snaptask.json", "POST");
    } catch (error) {
      tellProblem(error);
    }
  }
  return <p><button type="button" className="plain" onClick={() => void save()}>Save all of it as JSON</button></p>;
}

function EraseForm({ email }: { email: string }) {
  const [words, setWords] = useState("");
  async function erase(event: SyntheticEvent<HTMLFormElement>) {
    event.preventDefault();
    const password = textOf(event.currentTarget, "password");
    setWords("");
    if (!(await ask("Erase your account?", "All tasks and pictures go with it. Nobody can bring them back.", "Erase all"))) return;
    try {
      await body(api.DELETE("/api/auth/me", { body: { password } }));
      location.replace("/");
    } catch (error) {
      setWords(said(error));
    }
  }
  return (
    <form className={styles.form} onSubmit={(event) => void erase(event)}>
      <Whose email={email} />
      <label>Your password<input name="password" type="password" required maxLength={256} autoComplete="current-password" /></label>
      {words ? <p role="alert" className="error">{words}</p> : null}
      <button type="submit" className="plain bad">Erase the account</button>
    </form>
  );
}
