// A question before something that cannot be undone.

import { createRoot } from "react-dom/client";

import styles from "./ask.module.css";

/** Resolves true when it was said yes to; Escape, the backdrop and Cancel say no. */
export function ask(question: string, detail: string, yes: string): Promise<boolean> {
  const place = document.createElement("div");
  document.body.append(place);
  const root = createRoot(place);
  return new Promise((resolve) => {
    const answer = (value: boolean) => {
      root.unmount();
      place.remove();
      resolve(value);
    };
    root.render(
      <dialog
        className={styles.dialog} aria-labelledby="question" onCancel={() => answer(false)}
        ref={(element) => { if (element && !element.open) element.showModal(); }}
      >
        <h2 id="question">{question}</h2>
        <p>{detail}</p>
        <div className={styles.buttons}>
          <button type="button" className="quiet" autoFocus onClick={() => answer(false)}>Cancel</button>
          <button type="button" onClick={() => answer(true)}>{yes}</button>
        </div>
      </dialog>,
    );
  });
}
