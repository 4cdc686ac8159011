// What happened to a task, as a person would tell it. An entry holds ids and names of fields.

export interface Entry {
  id: string;
  type: string;
  actor: string | null;
  occurredAt: string;
  details: Readonly<Record<string, string | readonly string[]>>;
}

/** How the reader knows the people of a task. */
export interface Known {
  me: string | undefined;
  owner: string;
}

const FIELDS: Record<string, string> = {
  title: "the title", description: "the description", status: "the status", priority: "the priority",
  labels: "the labels", dueAt: "the due date", cover: "the cover", mediaOrder: "the order of the pictures",
};
const PREFIX = "snaptask.tasks.v1.";

export function person(id: string | null | undefined, { me, owner }: Known): string {
  if (!id) return "Somebody";
  if (id === me) return "You";
  return id === owner ? "The owner" : "A member";
}

/** A new kind of event, of a server that is newer than this page, is told as a change. */
export function sentence(entry: Entry, known: Known): string {
  return `${person(entry.actor, known)} ${deed(entry, known)}`;
}

function deed({ type, actor, details }: Entry, known: Known): string {
  const role = details.role === "editor" ? "an editor" : "a viewer";
  switch (type.startsWith(PREFIX) ? type.slice(PREFIX.length) : type) {
    case "created": return "wrote this task.";
    case "changed": return changed(details.fields);
    case "deleted": return "deleted this task.";
    case "media-attached": return "added a picture.";
    case "media-detached": return "took a picture off.";
    case "comment-added": return "wrote a comment.";
    case "comment-changed": return "changed a comment.";
    case "comment-deleted": return "deleted a comment.";
    case "member-set": return details.member === actor ? `joined as ${role}.` : `made ${whom(details.member, known)} ${role}.`;
    case "member-removed": return details.member === actor ? "left this task." : `removed ${whom(details.member, known)}.`;
    case "invitation-made": return `made a link for ${role}.`;
    case "invitation-revoked": return "withdrew a link.";
    default: return "changed something.";
  }
}

function whom(id: unknown, { me }: Known): string {
  return id === me ? "you" : "a member";
}

function changed(fields: unknown): string {
  const names = Array.isArray(fields) ? fields.map(String) : [];
  if (names.length === 1 && names[0] === "position") return "moved it in the order by hand.";
  const said = names.flatMap((name) => (Object.hasOwn(FIELDS, name) ? FIELDS[name]! : []));
  if (!said.length) return "changed something.";
  const last = said.at(-1)!;
  return `changed ${said.length > 1 ? `${said.slice(0, -1).join(", ")} and ${last}` : last}.`;
}

export interface Deed {
  id: string;
  words: string;
  occurredAt: string;
  times: number;
}

/** Milliseconds within which the same, done again by the same person, is one deed. */
const TOGETHER = 10 * 60_000;

/** The newest first, as they come; what somebody did over and over is told once. */
export function told(entries: readonly Entry[], known: Known): Deed[] {
  const deeds: Deed[] = [];
  let oldest = 0;
  for (const entry of entries) {
    const words = sentence(entry, known);
    const before = deeds.at(-1);
    const at = Date.parse(entry.occurredAt);
    if (before?.words === words && oldest - at <= TOGETHER) before.times++;
    else deeds.push({ id: entry.id, words, occurredAt: entry.occurredAt, times: 1 });
    oldest = at;
  }
  return deeds;
}
