/** The text of a form's field; "" when there is none. */
export function textOf(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  return typeof value === "string" ? value : "";
}

/** What was taken out of a field and could not be sent goes back, before what was typed since. */
export function putBack(sent: string, typed: string): string {
  return typed.trim() ? `${sent} ${typed}` : sent;
}
