// Bytes to Cloud Storage. XMLHttpRequest, because fetch tells nothing of an upload's progress.
// Source: "Resumable uploads" and "Signed URLs" of the Cloud Storage documentation.

import { Altered, Refusal, Trouble, type SignedRequest, type Stand, type Stored } from "./model";

interface Sent {
  status: number;
  text: string;
  header(name: string): string | null;
}

interface Sending {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: Blob | null;
  sent?: (bytes: number) => void;
  signal: AbortSignal;
}

/** Milliseconds without a byte moving: the line is dead, whatever the system thinks. */
const SILENCE = 30_000;

export async function put(
  to: SignedRequest, file: Blob, sent: (bytes: number) => void, signal: AbortSignal,
): Promise<Stored> {
  const answer = await send({ ...to, body: file, sent, signal });
  if (answer.status === 200) return stored(answer);
  // The object stands already, an earlier answer was lost, and with it the sum.
  if (answer.status === 412) return { crc32c: null };
  throw refused(answer);
}

export async function startSession(
  to: SignedRequest, _size: number, signal: AbortSignal,
): Promise<string> {
  const answer = await send({ ...to, body: null, signal });
  const session = answer.header("Location");
  if (answer.status === 201 && session) return session;
  throw refused(answer);
}

export async function stand(session: string, size: number, signal: AbortSignal): Promise<Stand> {
  const headers = { "Content-Range": `bytes */${size}` };
  return told(await send({ method: "PUT", url: session, headers, body: null, signal }));
}

export async function chunk(
  session: string, file: Blob, from: number, to: number,
  sent: (bytes: number) => void, signal: AbortSignal,
): Promise<Stand> {
  const headers = { "Content-Range": `bytes ${from}-${to - 1}/${file.size}` };
  const body = file.slice(from, to);
  return told(await send({ method: "PUT", url: session, headers, body, sent, signal }));
}

export async function endSession(session: string): Promise<void> {
  const signal = new AbortController().signal;
  await send({ method: "DELETE", url: session, headers: {}, body: null, signal });
}

function told(answer: Sent): Stand {
  if (answer.status === 200 || answer.status === 201) return stored(answer);
  if (answer.status === 404 || answer.status === 410) return "gone";
  if (answer.status !== 308) throw refused(answer);
  const range = answer.header("Range");
  if (range === null) return 0;
  const match = /^bytes=0-(\d+)$/.exec(range);
  return match ? Number(match[1]) + 1 : Number.NaN;
}

/** `crc32c=…,md5=…`, in any order; the bucket's CORS rule lets a page read it. */
function stored(answer: Sent): Stored {
  const sums = (answer.header("x-goog-hash") ?? "").split(",").map((one) => one.trim());
  const found = sums.find((one) => one.startsWith("crc32c="));
  return { crc32c: found?.slice("crc32c=".length) ?? null };
}

function refused({ status, text }: Sent): Error {
  // The sum was sent along, and the bytes that arrived have another one.
  if (status === 400 && text.includes("BadDigest")) return new Altered();
  if (status === 0 || status === 408 || status === 429 || status >= 500) return new Trouble();
  return new Refusal(`The storage refused the file (${status}).`, status);
}

function send({ method, url, headers, body, sent, signal }: Sending): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let silence = 0;
    const heard = () => {
      clearTimeout(silence);
      silence = window.setTimeout(() => request.abort(), SILENCE);
    };
    const over = (act: () => void) => () => {
      clearTimeout(silence);
      signal.removeEventListener("abort", stop);
      act();
    };
    const stop = () => request.abort();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) {
      // The browser sets it itself, and lets nobody else.
      if (name.toLowerCase() !== "content-length") request.setRequestHeader(name, value);
    }
    request.upload.onprogress = ({ loaded }) => {
      heard();
      sent?.(loaded);
    };
    request.onload = over(() =>
      resolve({ status: request.status, text: request.responseText, header: (name) => request.getResponseHeader(name) }),
    );
    request.onerror = over(() => reject(new Trouble()));
    request.onabort = over(() =>
      reject(signal.aborted ? new DOMException("given up", "AbortError") : new Trouble()),
    );
    signal.addEventListener("abort", stop);
    if (signal.aborted) return over(() => reject(new DOMException("given up", "AbortError")))();
    heard();
    request.send(body);
  });
}
