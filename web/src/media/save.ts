// The original, saved under its own name. The way leads over a redirect to a signed URL of the
// bucket's, which a plain link cannot follow because it would not carry the token.

import { problemOf } from "../api/problem";
import { authorized } from "../session/session";

/** Milliseconds; the browser reads what a link offers after the click, not at once. */
const READ_BY_THEN = 60_000;

export async function saveFrom(path: string, name: string, method = "GET"): Promise<void> {
  const answer = await authorized(new Request(path, { method }));
  if (!answer.ok) throw await problemOf(answer);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), READ_BY_THEN);
}
