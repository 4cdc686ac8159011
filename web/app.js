// The first page: sign up, write a task, drop a photo on it, see it become ready.
// What a person wrote is only ever set as text, never as markup.

import { api, login, logout, onOtherTab, register, resume } from "/api.js";
import { followLink } from "/links.js";
import { isComing, settled, upload } from "/upload.js";

const REASONS = {
  "unknown-type": "this kind of file is not taken",
  "type-mismatch": "it is another kind of file than it says",
  "bad-dimensions": "its sides are too long",
  "too-many-pixels": "it has too many pixels",
  "truncated": "its end is missing",
  "corrupt": "it is damaged",
  "size-mismatch": "it has another size than announced",
  "checksum-mismatch": "it changed on the way",
  "archive": "it is an archive",
  "infected": "a virus was found in it",
  "scan-limit": "it is too complex to be scanned for viruses",
  "never-uploaded": "it never arrived",
};
const find = (selector, root = document) => root.querySelector(selector);
const copy = (id) => find(`#${id}`).content.firstElementChild.cloneNode(true);
let nextCursor = null;

function tell(message) {
  find("#notice").textContent = message ?? "";
  find("#notice").hidden = !message;
}

// Every action goes through here: what fails is told, and a session that ended leads back.
async function attempt(action) {
  tell(null);
  try {
    return await action();
  } catch (problem) {
    if (problem.status === 401 && !find("#board").hidden) showEntrance();
    tell(problem.message);
    return undefined;
  }
}

function showEntrance() {
  find("#board").hidden = true;
  find("#account").hidden = true;
  find("#welcome").hidden = false;
  find("#tasks").replaceChildren();
}

async function showBoard() {
  const me = await api("/auth/me");
  find("#who").textContent = me.email;
  find("#account").hidden = false;
  find("#welcome").hidden = true;
  find("#board").hidden = false;
  find("#tasks").replaceChildren();
  nextCursor = null;
  await showTasks();
}

async function showTasks() {
  const query = nextCursor ? `?cursor=${encodeURIComponent(nextCursor)}` : "";
  const page = await api(`/tasks${query}`);
  nextCursor = page.nextCursor;
  find("#more").hidden = !nextCursor;
  for (const task of page.items) find("#tasks").append(taskCard(task));
  markEmpty();
}

function markEmpty() {
  find("#empty").hidden = find("#tasks").children.length > 0;
}

function taskCard(task) {
  const card = copy("task");
  const box = find("input[type=checkbox]", card);
  find(".title", card).textContent = task.title;
  box.checked = task.status === "done";
  box.onchange = () => attempt(() => api(`/tasks/${task.id}`, {
    method: "PATCH", body: { status: box.checked ? "done" : "open" },
  }));
  find(".delete", card).onclick = () => attempt(async () => {
    await api(`/tasks/${task.id}`, { method: "DELETE" });
    card.remove();
    markEmpty();
  });
  takeDrops(card, task);
  if (task.mediaCount) attempt(() => showPictures(card, task));
  return card;
}

async function showPictures(card, task) {
  const { media } = await api(`/tasks/${task.id}/with-media`);
  for (const medium of media) {
    const tile = pictureTile(card, task, medium.fileName);
    tile.dataset.media = medium.id;
    showMedium(tile, medium);
    if (isComing(medium)) attempt(async () => showMedium(tile, await settled(medium.id)));
  }
}

function takeDrops(card, task) {
  const drop = find(".drop", card);
  const input = find("input", drop);
  const take = (files) => { for (const file of files) addPicture(card, task, file); };
  input.onchange = () => { take(input.files); input.value = ""; };
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  };
}

function pictureTile(card, task, name) {
  const tile = copy("picture");
  find(".name", tile).textContent = name;
  find("img", tile).alt = name;
  find(".remove", tile).onclick = () => attempt(async () => {
    if (tile.dataset.media) {
      await api(`/tasks/${task.id}/detach-media/${tile.dataset.media}`, { method: "DELETE" });
    }
    tile.remove();
  });
  find(".pictures", card).append(tile);
  return tile;
}

async function addPicture(card, task, file) {
  const tile = pictureTile(card, task, file.name);
  const bar = find("progress", tile);
  say(tile, "sending", "Sending…");
  find(".remove", tile).hidden = true;
  try {
    const mediaId = await upload(file, (share) => { bar.value = share; });
    await api(`/tasks/${task.id}/attach-media`, { method: "POST", body: { mediaId } });
    tile.dataset.media = mediaId;
    bar.removeAttribute("value");
    say(tile, "pending", "Checking…");
    showMedium(tile, await settled(mediaId));
  } catch (problem) {
    bar.hidden = true;
    say(tile, "failed", problem.message);
  }
  find(".remove", tile).hidden = false;
}

function showMedium(tile, medium) {
  find("progress", tile).hidden = !isComing(medium);
  if (medium.state === "ready") {
    if (medium.thumbnailUrl) find("img", tile).src = medium.thumbnailUrl;
    const largest = medium.renditions?.at(-1);
    if (largest) find("a", tile).href = largest.url;
    const what = medium.width ? `${medium.width} × ${medium.height}` : medium.contentType;
    say(tile, "ready", `Ready · ${what}`);
  } else if (medium.state === "rejected") {
    say(tile, "rejected", `Not taken: ${REASONS[medium.reason] ?? medium.reason}`);
  } else {
    find("progress", tile).removeAttribute("value");
    say(tile, "pending", "Checking…");
  }
}

function say(tile, state, text) {
  tile.dataset.state = state;
  find(".state", tile).textContent = text;
}

find("#entrance").onsubmit = (event) => {
  event.preventDefault();
  const { email, password } = event.target.elements;
  const enter = event.submitter?.name === "login" ? login : register;
  attempt(async () => {
    await enter(email.value, password.value);
    event.target.reset();
    await showBoard();
  });
};
find("#new-task").onsubmit = (event) => {
  event.preventDefault();
  attempt(async () => {
    const body = { title: event.target.elements.title.value };
    const task = await api("/tasks", { method: "POST", body });
    event.target.reset();
    find("#tasks").prepend(taskCard(task));
    markEmpty();
  });
};
find("#more").onclick = () => attempt(showTasks);
find("#sign-out").onclick = () => attempt(async () => {
  showEntrance();
  await logout();
});
onOtherTab(() => location.reload());
addEventListener("hashchange", () => followLink(attempt, tell));
followLink(attempt, tell);
attempt(async () => { if (await resume()) await showBoard(); });
