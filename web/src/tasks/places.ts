// Where a task can be put by hand: columns of tasks, and the gaps between those in them. Nothing
// moves while it is on its way; a gap is shown, and the tasks move when it is let go.

/** The gap before the `index`-th of a column's other tasks; behind them all it is their number. */
export interface Gap {
  column: string;
  index: number;
}

export interface Column {
  id: string;
  name: string;
  tasks: readonly { id: string }[];
}

export type Step = "up" | "down" | "left" | "right" | "first" | "last";

/** The tasks of the column, without the one that is on its way. */
export function others(column: Column, moved: string): readonly { id: string }[] {
  return column.tasks.filter(({ id }) => id !== moved);
}

/** The gap in which a task stands now. */
export function gapOf(columns: readonly Column[], id: string): Gap | null {
  for (const column of columns) {
    const index = column.tasks.findIndex((one) => one.id === id);
    if (index >= 0) return { column: column.id, index };
  }
  return null;
}

/** The next gap in that direction; the same one at an end. */
export function stepped(columns: readonly Column[], moved: string, gap: Gap, step: Step): Gap {
  const at = columns.findIndex(({ id }) => id === gap.column);
  const room = (column: Column) => others(column, moved).length;
  const here = columns[at];
  if (!here) return gap;
  switch (step) {
    case "up": return { ...gap, index: Math.max(0, gap.index - 1) };
    case "down": return { ...gap, index: Math.min(room(here), gap.index + 1) };
    case "first": return { ...gap, index: 0 };
    case "last": return { ...gap, index: room(here) };
    default: {
      const beside = columns[at + (step === "left" ? -1 : 1)];
      return beside ? { column: beside.id, index: Math.min(room(beside), gap.index) } : gap;
    }
  }
}

/** As the API takes it; null where the column has no other task to stand beside. */
export type Place = { before: string } | { after: string };

export function placeAt(columns: readonly Column[], moved: string, gap: Gap): Place | null {
  const column = columns.find(({ id }) => id === gap.column);
  if (!column) return null;
  const rest = others(column, moved);
  const next = rest[gap.index];
  if (next) return { before: next.id };
  const last = rest.at(-1);
  return last ? { after: last.id } : null;
}

/** The list with the task at its place; unchanged when either of them is not in it. */
export function moved<T extends { id: string }>(tasks: readonly T[], id: string, place: Place): T[] {
  const task = tasks.find((one) => one.id === id);
  const rest = tasks.filter((one) => one.id !== id);
  const beside = "before" in place ? place.before : place.after;
  const at = rest.findIndex((one) => one.id === beside);
  if (!task || at < 0) return [...tasks];
  rest.splice("before" in place ? at : at + 1, 0, task);
  return rest;
}

/** For who hears the page. */
export function gapWords(columns: readonly Column[], moved: string, gap: Gap): string {
  const column = columns.find(({ id }) => id === gap.column);
  if (!column) return "";
  const place = `place ${gap.index + 1} of ${others(column, moved).length + 1}`;
  return columns.length > 1 ? `${column.name}, ${place}` : place;
}
