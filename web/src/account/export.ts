import { problemOf } from "../api/problem";
import { authorized } from "../session/session";

export async function saveJSON(): Promise<void> {
  const answer = await authorized(new Request("/api/auth/export", { method: "POST" }));
  if (!answer.ok) throw await problemOf(answer);
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = "snaptask.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
