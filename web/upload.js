// The path of a picture, seen from the browser: announce, PUT to the signed URL, wait for ready.

import { api } from "/api.js";
import { crc32c } from "/crc32c.js";

// Some systems do not know these by themselves.
const TYPES = {
  heic: "image/heic", heif: "image/heif", avif: "image/avif", tif: "image/tiff", tiff: "image/tiff",
  txt: "text/plain", md: "text/plain",
};
const FIRST_LOOK = 150;
const SLOWEST_LOOK = 2000;

// `onProgress` gets the share that was sent, 0 to 1. Returns the media id once the bucket has it.
export async function upload(file, onProgress) {
  const body = {
    fileName: file.name, contentType: typeOf(file), size: file.size, crc32c: await crc32c(file),
  };
  // One key for this choice of this file: asked again after a lost answer, it is one medium.
  const headers = { "Idempotency-Key": crypto.randomUUID() };
  const ticket = await api("/media/uploads", { method: "POST", body, headers });
  try {
    await put(ticket.upload, file, onProgress);
  } catch (error) {
    await api(`/media/uploads/${ticket.mediaId}`, { method: "DELETE" }).catch(() => null);
    throw error;
  }
  return ticket.mediaId;
}

export const isComing = (medium) => ["pending", "scanning"].includes(medium.state);

const typeOf = (file) => file.type || TYPES[file.name.split(".").at(-1).toLowerCase()] || "";

// XMLHttpRequest, because fetch does not tell how much of a body was sent.
function put({ method, url, headers }, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded / file.size);
    request.onload = () => {
      if (request.status === 200) resolve();
      else reject(new Error(`Storage refused the file (${request.status})`));
    };
    request.onerror = () => reject(new Error("The connection to storage broke"));
    request.send(file);
  });
}

// Looks often at first, when most pictures become ready, and calmly later.
export async function settled(mediaId) {
  for (let pause = FIRST_LOOK; ; pause = Math.min(pause * 1.5, SLOWEST_LOOK)) {
    const medium = await api(`/media/${mediaId}`);
    if (!isComing(medium)) return medium;
    await new Promise((resolve) => { setTimeout(resolve, pause); });
  }
}
