// Checksums are made beside the page's own thread, which stays free to scroll and type.
import { crc32cOf } from "./crc32c";

self.onmessage = async (message: MessageEvent<{ id: number; file: Blob }>) => {
  const { id, file } = message.data;
  try {
    self.postMessage({ id, checksum: await crc32cOf(file) });
  } catch {
    // The file was moved or changed since it was chosen.
    self.postMessage({ id, checksum: null });
  }
};
