import { expect, test } from "vitest";

import { type Entry, sentence, told } from "./history";

const KNOWN = { me: "ada", owner: "bob" };
const NOON = Date.parse("2026-11-25T12:00:00Z");

function entry(type: string, actor: string | null, details: Entry["details"] = {}, minute = 0): Entry {
  const occurredAt = new Date(NOON - minute * 60_000).toISOString();
  return { id: `${type} ${minute}`, type: `snaptask.tasks.v1.${type}`, actor, details, occurredAt };
}

test.each([
  [entry("created", "bob"), "The owner wrote this task."],
  [entry("changed", "ada", { fields: ["status"] }), "You changed the status."],
  [entry("changed", "eve", { fields: ["dueAt", "labels", "title"] }), "A member changed the due date, the labels and the title."],
  [entry("changed", "bob", { fields: ["position"] }), "The owner moved it in the order by hand."],
  [entry("changed", "bob", { fields: [] }), "The owner changed something."],
  [entry("media-attached", "ada", { mediaId: "x" }), "You added a picture."],
  [entry("member-set", "ada", { member: "ada", role: "viewer" }), "You joined as a viewer."],
  [entry("member-set", "bob", { member: "ada", role: "editor" }), "The owner made you an editor."],
  [entry("member-removed", "eve", { member: "eve" }), "A member left this task."],
  [entry("invitation-made", "bob", { role: "editor" }), "The owner made a link for an editor."],
  [entry("tomorrow", null), "Somebody changed something."],
])("%# is told", (one, words) => expect(sentence(one, KNOWN)).toBe(words));

test("fields of a newer server are not shown by their names", () => {
  expect(sentence(entry("changed", "ada", { fields: ["__proto__", "x"] }), KNOWN)).toBe("You changed something.");
});

test("what somebody did over and over is told once, as long as it was in one go", () => {
  const moved = (minute: number) => entry("changed", "ada", { fields: ["position"] }, minute);
  const deeds = told([moved(0), moved(5), moved(14), entry("comment-added", "eve", {}, 15), moved(16), moved(60)], KNOWN);
  expect(deeds.map(({ times }) => times)).toEqual([3, 1, 1, 1]);
  expect(deeds[0]!.id).toBe(moved(0).id);
});
