// Who one is to other issuers: seen, linked and unlinked, each change with the password.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { api, body, type Identity, type WaysIn } from "../api/client";
import { useProviders } from "../session/others";
import { startLink } from "../session/provider";
import styles from "../tasks/tasks.module.css";
import { Failed } from "../ui/failed";
import { textOf } from "../ui/form";
import { tell, tellProblem } from "../ui/notices";
import { said } from "./said";
import { Whose } from "./whose";

export function useWays() {
  return useQuery({
    queryKey: ["ways"], queryFn: ({ signal }) => body(api.GET("/api/auth/identities", { signal })),
  });
}

export function Ways({ email }: { email: string }) {
  const ways = useWays();
  const providers = useProviders();
  if (ways.isError && !ways.data) return <Failed error={ways.error} again={() => void ways.refetch()} />;
  if (!ways.data || (!providers.length && !ways.data.items.length)) return null;
  const nameOf = ({ issuer }: Identity) => providers.find((one) => one.issuer === issuer)?.name ?? new URL(issuer).host;
  return (
    <>
      <h2>Other ways to sign in</h2>
      <WaysForm email={email} ways={ways.data} nameOf={nameOf} toLink={providers[0]?.name} />
    </>
  );
}

interface Props {
  email: string;
  ways: WaysIn;
  nameOf: (identity: Identity) => string;
  toLink: string | undefined;
}

function WaysForm({ email, ways, nameOf, toLink }: Props) {
  const client = useQueryClient();
  const [words, setWords] = useState("");
  const [busy, setBusy] = useState(false);

  async function change(form: HTMLFormElement, act: (password: string) => Promise<void>) {
    if (!form.reportValidity()) return;
    setWords("");
    setBusy(true);
    try {
      await act(textOf(form, "password"));
      form.reset();
    } catch (error) {
      setWords(said(error));
    }
    setBusy(false);
  }

  // What Enter does in the field, so it is not to take anything away.
  function submit(event: SyntheticEvent<HTMLFormElement>) {
    event.preventDefault();
    if (toLink) void change(event.currentTarget, startLink);
  }

  async function unlink(identity_id: string, password: string) {
    await body(api.DELETE("/api/auth/identities/{identity_id}", { params: { path: { identity_id } }, body: { password } }));
    tell("It is unlinked. Your other devices were signed out.");
    await Promise.all(["ways", "sessions"].map((key) => client.invalidateQueries({ queryKey: [key] })));
  }

  return (
    <form className={styles.form} onSubmit={submit}>
      {ways.items.length ? (
        <ul>
          {ways.items.map((one) => (
            <li key={one.id} className={styles.session}>
              <span>
                {nameOf(one)} {one.email ? <strong>{one.email}</strong> : null}
                <br /><span className="small">linked {new Date(one.linkedAt).toLocaleDateString()}</span>
              </span>
              {ways.hasPassword ? (
                <button
                  type="button" className="quiet" disabled={busy} aria-label={`Unlink ${nameOf(one)} ${one.email ?? ""}`.trim()}
                  onClick={({ currentTarget }) => void change(currentTarget.form!, (password) => unlink(one.id, password))}
                >
                  Unlink
                </button>
              ) : null}
            </li>
          ))}
        </ul>
      ) : null}
      {ways.hasPassword ? (
        <>
          <Whose email={email} />
          <label>Your password<input name="password" type="password" required maxLength={256} autoComplete="current-password" /></label>
          {words ? <p role="alert" className="error">{words}</p> : null}
          {toLink ? <button type="submit" className="plain" disabled={busy}>Link {toLink}</button> : null}
        </>
      ) : null}
    </form>
  );
}

/** In the place of what needs a password, for an account that has none. */
export function FirstPassword({ email, why }: { email: string; why: string }) {
  async function send() {
    try {
      await body(api.POST("/api/auth/password-reset", { body: { email } }));
      tell(`A link is on its way to ${email}.`);
    } catch (error) {
      tellProblem(error);
    }
  }
  return (
    <>
      <p>{why}</p>
      <p><button type="button" className="plain" onClick={() => void send()}>Mail me a link to set a password</button></p>
    </>
  );
}
