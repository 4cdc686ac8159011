// The original, saved under its own name. The way leads over a redirect to a signed URL of the
// bucket's, which a plain link cannot follow because it would not carry the token.

import { problemOf } from "../api/problem";
import { authorized } from "../session/session";

export async function saveFrom(path: string): Promise<void> {
  const answer = await authorized(new Request(path));
  if (!answer.ok) throw await problemOf(answer);
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = nameIn(answer.headers.get("Content-Disposition")) ?? "picture";
  link.click();
  // Not at once: the browser reads it after this turn.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export function nameIn(disposition: string | null): string | null {
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? "");
  if (extended) return decodeURIComponent(extended[1]!);
  return /filename="([^"]+)"/i.exec(disposition ?? "")?.[1] ?? null;
}
