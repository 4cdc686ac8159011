// A task made while its pictures are on their way. One that changed on the way is announced anew
// under another name, at any moment: before the task is made, meanwhile, or long after.

import { Problem } from "../api/problem";
import type { Phase } from "../uploads/model";

interface Coming {
  readonly phase: Phase;
  readonly mediaId: string | undefined;
  renewed: ((mediaId: string) => void) | undefined;
}

function isLost({ phase }: Coming): boolean {
  return ["rejected", "refused", "cancelled"].includes(phase.name);
}

/** `named` resolves when an upload has a name or is over; `late` is told of the names that `make`
 * was not given. Throws what `make` throws, unless it was given a name that is none any more. */
export async function carrying<Upload extends Coming, Made>(
  uploads: readonly Upload[],
  named: (upload: Upload) => Promise<void>,
  make: (mediaIds: string[]) => Promise<Made>,
  late: (made: Made, mediaId: string) => void,
): Promise<Made> {
  const names = () => uploads.filter((one) => !isLost(one)).flatMap(({ mediaId }) => mediaId ?? []);
  for (;;) {
    await Promise.all(uploads.map(named));
    const given = names();
    let made: Made;
    try {
      made = await make(given);
    } catch (error) {
      const isGone = error instanceof Problem && error.status === 404;
      if (isGone && given.join() !== names().join()) continue;
      throw error;
    }
    for (const upload of uploads) upload.renewed = (mediaId) => late(made, mediaId);
    for (const mediaId of names()) if (!given.includes(mediaId)) late(made, mediaId);
    return made;
  }
}
