// "Continue with …", for each other issuer that this deployment takes the word of.

import { useEffect, useState } from "react";

import { api, body, type Provider } from "../api/client";
import { tellProblem } from "../ui/notices";
import { startSignIn } from "./provider";

/** None until they are known, and none when they cannot be: it is one way of several. */
export function useProviders(): readonly Provider[] {
  const [providers, setProviders] = useState<readonly Provider[]>([]);
  useEffect(() => {
    let isShown = true;
    body(api.GET("/api/auth/providers")).then(({ items }) => { if (isShown) setProviders(items); }, () => undefined);
    return () => { isShown = false; };
  }, []);
  return providers;
}

export function Others() {
  const [busy, setBusy] = useState(false);
  async function leave() {
    setBusy(true);
    try {
      await startSignIn();
    } catch (error) {
      tellProblem(error);
    }
    // Who comes back with the browser's button finds the page as it is left.
    setBusy(false);
  }
  return useProviders().map(({ issuer, name }) => (
    <button key={issuer} type="button" className="plain" disabled={busy} onClick={() => void leave()}>
      Continue with {name}
    </button>
  ));
}
