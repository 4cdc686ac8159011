// Taking a task by the pointer, a finger or the keyboard, and letting it go elsewhere. The task
// stays in the page where it was until then, so neither focus nor a finger loses it.

import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";

import styles from "./moving.module.css";
import { type Column, type Gap, gapOf, gapWords, others, type Step, stepped } from "./places";

/** Pixels before a press is a drag; below, it is a click with an unsteady hand. */
const SLACK = 6;
/** Pixels from the upper and lower edge within which the page scrolls by itself. */
const EDGE = 72;
const STEPS: Record<string, Step> = {
  ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right", Home: "first", End: "last",
};

interface Held {
  id: string;
  gap: Gap;
}

export interface Moving {
  held: Held | null;
  grip: (id: string, title: string) => React.ReactElement;
  /** For the element of a task; the empty object where it may not be moved. */
  item: (id: string, column: string) => object;
  /** For the element that holds a column's tasks. */
  column: (id: string) => object;
  /** What is heard, to stand somewhere on the page. */
  voice: React.ReactElement;
}

/** Where the order is not one by hand, a task has a column and no place in it. */
export function useMoving(
  columns: readonly Column[], isByHand: boolean, drop: (id: string, gap: Gap) => void,
): Moving {
  const [held, setHeld] = useState<Held | null>(null);
  const [said, say] = useState("");
  const homeRef = useFocusKept();
  const now = useRef({ columns, held });
  useEffect(() => { now.current = { columns, held }; });

  const words = (id: string, gap: Gap) =>
    isByHand ? gapWords(now.current.columns, id, gap) : now.current.columns.find((one) => one.id === gap.column)?.name ?? "";
  const hold = (id: string, aimed: Gap) => {
    const gap = isByHand ? aimed : inColumn(now.current.columns, id, aimed.column);
    setHeld((before) => (before?.id === id && before.gap.column === gap.column && before.gap.index === gap.index ? before : { id, gap }));
    say(words(id, gap));
  };
  const letGo = (id: string, gap: Gap | null) => {
    setHeld(null);
    const from = gapOf(now.current.columns, id);
    if (!gap || !from || (gap.column === from.column && gap.index === from.index)) {
      say("Left where it was.");
      return;
    }
    say(`Moved to ${words(id, gap)}.`);
    drop(id, gap);
  };

  const press = (event: PointerEvent<HTMLElement>, id: string) => {
    const onGrip = (event.target as Element).closest("[data-grip]");
    const isForeign = !onGrip && (event.pointerType !== "mouse" || (event.target as Element).closest("button, input"));
    if (event.button !== 0 || isForeign || now.current.held) return;
    let gap: Gap | null = null;
    drag(event, {
      over: (x, y) => {
        gap = gapUnder(now.current.columns, id, x, y) ?? gap;
        if (gap) hold(id, gap);
      },
      done: (isMeant) => letGo(id, isMeant ? gap : null),
    });
  };

  const key = (event: KeyboardEvent, id: string) => {
    const from = held?.id === id ? held.gap : null;
    const step = STEPS[event.key];
    if (event.key === " " || event.key === "Enter") {
      const start = gapOf(columns, id);
      if (from) {
        homeRef.current = id;
        letGo(id, from);
      } else if (start) {
        hold(id, start);
        say(`Taken from ${words(id, start)}. Arrows move it, Space puts it down, Escape leaves it.`);
      }
    } else if (from && step) hold(id, stepped(columns, id, from, step));
    else if (from && event.key === "Escape") letGo(id, null);
    else return;
    event.preventDefault();
  };

  return {
    held,
    voice: <span className="unseen" role="status" aria-live="assertive" data-voice>{said}</span>,
    column: (id) => ({ "data-column": id, "data-gap": held && isWhole(columns, held, id, isByHand) ? "only" : undefined }),
    item: (id, column) => ({
      "data-task": id,
      "data-held": held?.id === id || undefined,
      "data-gap": held && isByHand ? sideOf(columns, held, id, column) : undefined,
      onPointerDown: (event: PointerEvent<HTMLElement>) => press(event, id),
      onDragStart: (event: Event) => event.preventDefault(),
    }),
    grip: (id, title) => (
      <button
        type="button" className={styles.grip} data-grip={id} aria-label={`Move ${title} by hand`} aria-pressed={held?.id === id}
        onKeyDown={(event) => key(event, id)} onBlur={() => { if (held?.id === id) letGo(id, null); }}
      >
        <svg width="10" height="16" viewBox="0 0 10 16" aria-hidden="true">
          {[2, 8, 14].flatMap((y) => [2, 8].map((x) => <circle key={`${x} ${y}`} cx={x} cy={y} r="1.5" />))}
        </svg>
      </button>
    ),
  };
}

/** The gap of a column whose order is not by hand: where the task stands, or its top. */
function inColumn(columns: readonly Column[], id: string, column: string): Gap {
  const from = gapOf(columns, id);
  return from?.column === column ? from : { column, index: 0 };
}

/** Whether the gap is shown as the whole column. */
function isWhole(columns: readonly Column[], { id, gap }: Held, column: string, isByHand: boolean): boolean {
  const here = columns.find((one) => one.id === column);
  if (!here || gap.column !== column) return false;
  return isByHand ? others(here, id).length === 0 : gapOf(columns, id)?.column !== column;
}

/** On which side of this task the gap is shown. */
function sideOf(columns: readonly Column[], { id: moved, gap }: Held, id: string, column: string): string | undefined {
  const here = columns.find((one) => one.id === column);
  if (gap.column !== column || id === moved || !here) return undefined;
  const rest = others(here, moved);
  if (rest[gap.index]?.id === id) return "before";
  return gap.index === rest.length && rest.at(-1)?.id === id ? "after" : undefined;
}

function gapUnder(columns: readonly Column[], moved: string, x: number, y: number): Gap | null {
  const places = [...document.querySelectorAll<HTMLElement>("[data-column]")];
  const inside = places.find((one) => {
    const { left, right, top, bottom } = one.getBoundingClientRect();
    return places.length === 1 || (x >= left && x <= right && y >= top && y <= bottom);
  });
  const column = columns.find(({ id }) => id === inside?.dataset.column);
  if (!inside || !column) return null;
  const rest = others(column, moved);
  const index = rest.findIndex(({ id }) => {
    const rect = inside.querySelector(`[data-task="${CSS.escape(id)}"]`)?.getBoundingClientRect();
    return rect && y < rect.top + rect.height / 2;
  });
  return { column: column.id, index: index < 0 ? rest.length : index };
}

interface Way {
  over: (x: number, y: number) => void;
  done: (isMeant: boolean) => void;
}

/** From this press to its end. The element follows the pointer; nothing else in the page moves. */
function drag(press: PointerEvent<HTMLElement>, { over, done }: Way): void {
  const element = press.currentTarget;
  const { pointerId, clientX, clientY } = press;
  const from = { x: clientX + scrollX, y: clientY + scrollY };
  const at = { x: clientX, y: clientY };
  const stop = new AbortController();
  let isMoving = false;

  function follow() {
    if (stop.signal.aborted) return;
    const pull = Math.min(0, at.y - EDGE) || Math.max(0, at.y - innerHeight + EDGE);
    if (pull) scrollBy(0, Math.sign(pull) * Math.min(EDGE, Math.abs(pull)) / 6);
    element.style.transform = `translate(${at.x + scrollX - from.x}px, ${at.y + scrollY - from.y}px)`;
    over(at.x, at.y);
    requestAnimationFrame(follow);
  }
  function end(isMeant: boolean) {
    if (stop.signal.aborted) return;
    stop.abort();
    element.style.transform = "";
    if (isMoving) done(isMeant);
  }
  const listen = <K extends keyof WindowEventMap>(type: K, heard: (event: WindowEventMap[K]) => void) =>
    addEventListener(type, heard, { signal: stop.signal, capture: true });

  listen("pointermove", (event) => {
    if (event.pointerId !== pointerId) return;
    Object.assign(at, { x: event.clientX, y: event.clientY });
    if (isMoving || Math.hypot(at.x - clientX, at.y - clientY) < SLACK) return;
    isMoving = true;
    // The click at the end is then the element's and not that of the link under the pointer.
    element.setPointerCapture(pointerId);
    follow();
  });
  listen("pointerup", (event) => { if (event.pointerId === pointerId) end(true); });
  listen("pointercancel", () => end(false));
  listen("blur", () => end(false));
  listen("keydown", (event) => { if (isMoving && event.key === "Escape") { event.preventDefault(); end(false); } });
}

/** A task that is put down in another column is another element; the focus goes with it. */
function useFocusKept() {
  const wanted = useRef<string | null>(null);
  useEffect(() => {
    if (wanted.current === null) return;
    const grip = document.querySelector<HTMLElement>(`[data-grip="${CSS.escape(wanted.current)}"]`);
    if (document.activeElement === document.body) grip?.focus();
    else if (document.activeElement !== grip) wanted.current = null;
  });
  return wanted;
}
