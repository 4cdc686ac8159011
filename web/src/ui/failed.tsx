// In the place of what could not be loaded: why, and another try.

import { wordsOf } from "../api/problem";
import styles from "./failed.module.css";

interface Props {
  error: unknown;
  again: () => void;
}

export function Failed({ error, again }: Props) {
  return (
    <div className={styles.failed} role="alert">
      <span>{wordsOf(error)}</span>
      <button type="button" className="quiet" onClick={again}>Try again</button>
    </div>
  );
}

/** While it is loaded, and while what passes by itself is tried again by itself. */
export function Waiting({ failures }: { failures: number }) {
  return <p className={styles.waiting} role="status">{failures ? "The server does not answer. Trying again…" : "Loading…"}</p>;
}
