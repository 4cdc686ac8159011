import { Refusal } from "./model";

type Answer = { id: number; checksum: string | null };

let worker: Worker | undefined;
let last = 0;
const waiting = new Map<number, (checksum: string | null) => void>();

/** Throws Refusal when the file can no longer be read. */
export async function checksumOf(file: Blob): Promise<string> {
  worker ??= startWorker();
  const id = ++last;
  const made = new Promise<string | null>((resolve) => waiting.set(id, resolve));
  worker.postMessage({ id, file });
  const checksum = await made;
  if (checksum === null) throw new Refusal("The file can no longer be read. Choose it again.");
  return checksum;
}

function startWorker(): Worker {
  const made = new Worker(new URL("./checksum.worker.ts", import.meta.url), { type: "module" });
  made.onmessage = (message: MessageEvent<Answer>) => {
    waiting.get(message.data.id)?.(message.data.checksum);
    waiting.delete(message.data.id);
  };
  return made;
}
