// Keys that work anywhere on a page, until they are turned off: who speaks to his computer, or
// shakes, presses single letters without meaning to (WCAG 2.2, 2.1.4). The list is in help.tsx.

import { useEffect, useRef } from "react";
import { useLocation } from "wouter";

const OFF = "snaptask.keys-off";
/** What the key brings the focus to, on the page of tasks. */
const TARGETS: Record<string, string> = { n: "new-task", "/": "search" };
const BUSY = "dialog[open], .yarl__portal";
const WRITTEN_IN = "input:not([type=checkbox]), textarea, select, [contenteditable]";

export function areOn(): boolean {
  return localStorage.getItem(OFF) === null;
}

export function turn(isOn: boolean): void {
  if (isOn) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "1");
}

export function showHelp(): Promise<void> {
  return import("./help").then(({ show }) => show());
}

export function useKeys(): void {
  const [path, go] = useLocation();
  const wanted = useRef<string | null>(null);
  useEffect(() => {
    // The page of tasks stands by now, if that was where to go.
    if (wanted.current) focus(wanted.current);
    wanted.current = null;
  }, [path]);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = TARGETS[event.key];
      if (!areOn() || isMeantForAnother(event) || !(target ?? event.key === "?")) return;
      event.preventDefault();
      if (!target) void showHelp().catch(() => undefined);
      else if (!focus(target)) {
        wanted.current = target;
        go("/");
      }
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [go]);
}

function focus(target: string): boolean {
  const found = document.querySelector<HTMLElement>(`[data-key="${target}"]`);
  found?.focus();
  return found !== null;
}

function isMeantForAnother(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.repeat || event.isComposing) return true;
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  return (event.target instanceof Element && event.target.closest(WRITTEN_IN) !== null) || document.querySelector(BUSY) !== null;
}
