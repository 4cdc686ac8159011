// Which due dates are meant, in the days of whoever looks: "today" ends when his day does.

export const WHENS = ["overdue", "today", "week"] as const;

/** Days as YYYY-MM-DD, both meant; "" is open on that side. */
export interface Between {
  when: "between";
  from: string;
  to: string;
}
export type Due = { when: "" | (typeof WHENS)[number] } | Between;

export const NO_DUE: Due = { when: "" };
const DAY = /^\d{4}-\d{2}-\d{2}$/;

export function readDue(text: string): Due {
  const when = WHENS.find((one) => one === text);
  if (when) return { when };
  const [from, to, ...more] = text.split("..");
  if (from === undefined || to === undefined || more.length) return NO_DUE;
  const days = { from: isDay(from) ? from : "", to: isDay(to) ? to : "" };
  return text === ".." || days.from || days.to ? { when: "between", ...days } : NO_DUE;
}

export function writtenDue(due: Due): string {
  return due.when === "between" ? `${due.from}..${due.to}` : due.when;
}

/** From the first moment that is meant to the first that no longer is. */
export function dueBetween(due: Due, now: Date): [Date | null, Date | null] {
  switch (due.when) {
    case "": return [null, null];
    case "overdue": return [null, now];
    case "today": return [startOf(now), startOf(now, 1)];
    case "week": {
      const first = (7 + now.getDay() - firstWeekday()) % 7;
      return [startOf(now, -first), startOf(now, 7 - first)];
    }
    case "between":
      return [due.from ? startOf(dayOf(due.from)) : null, due.to ? startOf(dayOf(due.to), 1) : null];
  }
}

/** "today", "Fri, Nov 27", and with its year only what is in another one. */
export function dayWords(day: Date, now = new Date()): string {
  const away = Math.round((startOf(day).getTime() - startOf(now).getTime()) / 86_400_000);
  if (away >= -1 && away <= 1) return ["yesterday", "today", "tomorrow"][away + 1]!;
  const year = day.getFullYear() === now.getFullYear() ? {} : { year: "numeric" as const };
  return day.toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short", ...year });
}

/** The start of a day, some days later; a day may have 23 or 25 hours, so the calendar counts. */
function startOf(moment: Date, later = 0): Date {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate() + later);
}

/** The day of a moment where its person is, as a date field writes it. */
export function writtenDay(moment: string): string {
  const date = new Date(moment);
  const padded = (part: number, digits: number) => String(part).padStart(digits, "0");
  return `${padded(date.getFullYear(), 4)}-${padded(date.getMonth() + 1, 2)}-${padded(date.getDate(), 2)}`;
}

/** A task that is due on a day is due when that day ends, where its person is. */
export function endOf(day: string): string {
  return new Date(`${day}T23:59:59`).toISOString();
}

/** In the years that a date field takes and the API's calendar holds: one that is still being
 * typed begins with zeros. */
export function isDay(text: string): boolean {
  return DAY.test(text) && text >= "1900" && text < "9999" && !Number.isNaN(dayOf(text).getTime());
}

function dayOf(text: string): Date {
  return new Date(`${text}T00:00:00`);
}

/** 0 is Sunday. Monday, where the browser does not know what is usual. */
function firstWeekday(): number {
  if (typeof navigator === "undefined") return 1;
  const locale = new Intl.Locale(navigator.language) as Intl.Locale & { getWeekInfo?: () => { firstDay: number } };
  return (locale.getWeekInfo?.().firstDay ?? 1) % 7;
}
