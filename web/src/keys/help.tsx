// What which key does, in a dialog.

import { createRoot } from "react-dom/client";

import dialog from "../ui/ask.module.css";
import styles from "./help.module.css";
import { areOn, turn } from "./keys";

const KEYS: readonly [place: string, keys: readonly [names: readonly string[], does: string][]][] = [
  ["Anywhere", [[["n"], "write a task"], [["/"], "search the tasks"], [["?"], "show this"]]],
  ["On a task's grip", [
    [["Space"], "take it, put it down"], [["←", "↑", "↓", "→"], "move it"], [["Esc"], "leave it where it was"],
  ]],
  ["In front of a picture", [[["←", "→"], "the one before, the next"], [["+", "−"], "closer, farther"], [["Esc"], "back"]]],
];

export function show(): void {
  const place = document.createElement("div");
  document.body.append(place);
  const root = createRoot(place);
  root.render(<Help closed={() => { root.unmount(); place.remove(); }} />);
}

function Help({ closed }: { closed: () => void }) {
  return (
    <dialog
      className={dialog.dialog} aria-labelledby="keys" onClose={closed}
      ref={(element) => {
        if (!element || element.open) return;
        element.showModal();
        // Not the switch, which comes first.
        element.querySelector("button")?.focus();
      }}
    >
      <h2 id="keys">Keys</h2>
      {KEYS.map(([name, keys]) => (
        <section key={name}>
          <h3 className={styles.place}>{name}</h3>
          <dl className={styles.keys}>
            {keys.map(([names, does]) => (
              <div key={does}><dt>{names.map((one) => <kbd key={one}>{one}</kbd>)}</dt><dd>{does}</dd></div>
            ))}
          </dl>
        </section>
      ))}
      <label className={styles.on}>
        <input type="checkbox" defaultChecked={areOn()} onChange={({ target }) => turn(target.checked)} /> Use n, / and ? anywhere
      </label>
      <form method="dialog" className={dialog.buttons}><button type="submit">Close</button></form>
    </dialog>
  );
}
