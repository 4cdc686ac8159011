// Short words about what happened, at the foot of the page; some can be taken back.

import { useSyncExternalStore } from "react";

import { wordsOf } from "../api/problem";
import styles from "./notices.module.css";

interface Notice {
  id: number;
  words: string;
  undo: (() => void) | undefined;
}

/** Milliseconds: long enough to read it and reach the button. */
const SHOWN = 7000;

let notices: readonly Notice[] = [];
let last = 0;
const listeners = new Set<() => void>();

export function tell(words: string, undo?: () => void): void {
  const notice = { id: ++last, words, undo };
  put([...notices.slice(-2), notice]);
  setTimeout(() => put(notices.filter((one) => one !== notice)), SHOWN);
}

export function tellProblem(error: unknown): void {
  tell(wordsOf(error));
}

function put(next: readonly Notice[]): void {
  notices = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Notices() {
  const shown = useSyncExternalStore(subscribe, () => notices);
  return (
    <div className={styles.notices} role="status" aria-live="polite">
      {shown.map(({ id, words, undo }) => (
        <div key={id} className={styles.notice}>
          <span>{words}</span>
          {undo ? (
            <button type="button" className="quiet" onClick={() => { undo(); put(notices.filter((n) => n.id !== id)); }}>
              Undo
            </button>
          ) : null}
        </div>
      ))}
    </div>
  );
}
