// The checksum that the signed URL binds: CRC32C (Castagnoli), base64 of the big-endian bytes.
// Read in chunks, so that a large photograph is never in memory twice.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});
const CHUNK = 1024 * 1024;

export async function crc32c(file) {
  let value = 0xffffffff;
  for (let start = 0; start < file.size; start += CHUNK) {
    const bytes = new Uint8Array(await file.slice(start, start + CHUNK).arrayBuffer());
    for (const byte of bytes) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  }
  value = (value ^ 0xffffffff) >>> 0;
  const parts = [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
  return btoa(String.fromCharCode(...parts));
}
